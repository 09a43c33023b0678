// Translation, and where each token of it looked.

const translation = {
  view: byId("translation"),
  languages: [],  // as GET /languages lists them: {code, name, targets}

  async show() {
    byId("source").value = kept.get("source", "");
    this.clear();
    try {
      this.languages = await (await ask("/languages")).json();
    } catch (error) {
      showError(this.view, error.message);
    }
    this.list(byId("from"), this.languages, kept.get("from"));
    this.listTargets();
  },

  list(select, languages, chosen) {
    select.replaceChildren();
    for (const {code, name} of languages) add(select, "option", name ?? code).value = code;
    if (languages.some(({code}) => code === chosen)) select.value = chosen;
    for (const element of this.view.querySelectorAll(".language")) element.hidden = this.languages.length === 0;
  },

  listTargets() {
    const from = this.languages.find(({code}) => code === byId("from").value);
    const reached = this.languages.filter(({code}) => !from?.targets || from.targets.includes(code));
    const others = (from?.targets ?? []).filter(code => !reached.some(language => language.code === code));
    this.list(byId("to"), [...reached, ...others.map(code => ({code}))], kept.get("to"));
  },

  clear() {
    byId("target").textContent = "";
    byId("others").replaceChildren();
    byId("alignments").replaceChildren();
    byId("copy-translation").disabled = true;
    sayIn(this.view, "");
    showError(this.view, "");
  },

  go() {
    const q = byId("source").value;
    return run(this.view, async signal => {
      const began = performance.now();
      const answer = await ask("/translate", {
        q, model: model.id, source: byId("from").value || "auto", target: byId("to").value || "auto",
        alternatives: Number(byId("alternatives").value), attention: true,
      }, signal);
      const {translatedText, alternatives = [], attention = []} = await answer.json();
      this.clear();
      byId("target").textContent = translatedText;
      byId("copy-translation").disabled = false;
      for (const text of alternatives) {
        const item = add(byId("others"), "li");
        add(item, "span", text);
        addButton(item, "Copy", button => copy(text, button));
      }
      for (const line of attention) {
        if (line) drawAlignment(byId("alignments"), line);  // blank lines have none
      }
      return `Done in ${seconds(performance.now() - began)}.`;
    });
  },

  swap() {
    const from = byId("from").value, to = byId("to").value, text = byId("target").textContent;
    if (!this.languages.some(({code}) => code === to)) return;
    byId("from").value = to;
    kept.set("to", from);
    this.listTargets();
    if (text) byId("source").value = text;
    this.clear();
  },
};

onSubmit(translation.view, () => translation.go());
sendOnEnter(byId("source"), false);
byId("source").oninput = () => kept.set("source", byId("source").value);
byId("from").onchange = () => {
  kept.set("from", byId("from").value);
  translation.listTargets();
};
byId("to").onchange = () => kept.set("to", byId("to").value);
byId("swap").onclick = () => translation.swap();
byId("copy-translation").onclick = event => copy(byId("target").textContent, event.currentTarget);
