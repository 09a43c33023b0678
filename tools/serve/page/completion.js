// Continuing a text, in place.

const completion = {
  view: byId("completion"),
  text: byId("text"),
  before: null,  // the text that was continued last; null: none
  id: null,      // of the answer

  show() {
    this.text.value = kept.get("text", "");
    this.began(null);
    sayIn(this.view, "");
    showError(this.view, "");
  },

  began(before) {
    this.before = before;
    this.id = null;
    hideAttention(this.view);
    this.buttons();
  },

  buttons() {
    byId("again").disabled = byId("undo").disabled = this.before === null || running !== null;
    byId("text-attention").disabled = this.id === null || running !== null;
  },

  undo() {
    if (running || this.before === null) return;
    this.text.value = this.before;
    kept.set("text", this.before);
    this.began(null);
  },

  async go() {
    const chosen = chosenSettings();
    if (running || !chosen) return;
    const {text, view} = this, told = {};
    this.began(text.value);
    text.readOnly = true;
    await run(view, signal => {
      this.buttons();
      const body = {model: model.id, prompt: text.value, max_tokens: 200, ...chosen};
      return stream(view, "/v1/completions", body, signal, told, piece => {
        const follow = text.scrollHeight - text.scrollTop - text.clientHeight < 60;
        text.setRangeText(piece, text.value.length, text.value.length, "preserve");
        if (follow) text.scrollTop = text.scrollHeight;
      });
    });
    text.readOnly = false;
    kept.set("text", text.value);
    this.id = told.id ?? null;
    this.buttons();
  },
};

onSubmit(completion.view, () => completion.go());
sendOnEnter(completion.text, false);
completion.text.oninput = () => {
  kept.set("text", completion.text.value);
  completion.began(null);
};
byId("again").onclick = () => {
  if (!chosenSettings()) return;
  completion.undo();
  completion.go();
};
byId("undo").onclick = () => completion.undo();
byId("copy-text").onclick = event => copy(completion.text.value, event.currentTarget);
byId("clear-text").onclick = async () => {
  await stop();
  completion.text.value = "";
  kept.set("text", "");
  completion.began(null);
  completion.text.focus();
};
byId("text-attention").onclick = () => showTextAttention(completion.view, completion.id);
