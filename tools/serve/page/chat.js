// Chat: messages, the last of which can be written again.

const chat = {
  view: byId("chat"),
  field: byId("message"),
  messages: [],  // {role, content, id}: as requests have them, and the answer's id

  show() {
    this.messages = kept.get("chat." + model.id, []);
    this.draw();
    sayIn(this.view, "");
    showError(this.view, "");
  },

  keep() { kept.set("chat." + model.id, this.messages); },

  draw() {
    byId("messages").replaceChildren();
    hideAttention(this.view);
    for (const message of this.messages) this.addMessage(message);
    const last = this.messages.at(-1);
    if (last) this.addTools(last);
    byId("clear-chat").disabled = !last;
    byId("message").placeholder = last ? "Message" : "Say something to " + model.id;
  },

  /// Returns the element of its text.
  addMessage(message) {
    const item = add(byId("messages"), "li", undefined, message.role);
    add(item, "div", message.role === "user" ? "You" : model.id, "who");
    const said = add(item, "div", message.content, "said");
    const tools = add(item, "div", undefined, "tools");
    addButton(tools, "Copy", button => copy(message.content, button));
    return said;
  },

  addTools(last) {
    const tools = byId("messages").lastChild.querySelector(".tools");
    if (last.role === "assistant") {
      addButton(tools, "Regenerate", () => this.regenerate());
      if (last.id) addButton(tools, "What it looked at", () => showTextAttention(this.view, last.id));
      const asked = byId("messages").lastChild.previousSibling;
      if (asked) addButton(asked.querySelector(".tools"), "Edit", () => this.edit());
    } else {
      addButton(tools, "Edit", () => this.edit());
      addButton(tools, "Send again", () => this.answer());
    }
  },

  send() {
    const content = this.field.value;
    if (!content.trim() || !chosenSettings()) return;
    this.messages.push({role: "user", content});
    this.field.value = "";
    this.fit();
    this.answer();
  },

  regenerate() {
    if (running || !chosenSettings()) return;
    this.messages.pop();
    this.answer();
  },

  edit() {
    if (running) return;
    while (this.messages.length > 0 && this.messages.pop().role !== "user") continue;
    const items = byId("messages").children;
    this.field.value = items[this.messages.length].querySelector(".said").textContent;
    this.keep();
    this.draw();
    this.fit();
    this.field.focus();
  },

  answer() {
    const chosen = chosenSettings();
    if (running || !chosen) return;
    this.keep();
    this.draw();
    const messages = this.messages.map(({role, content}) => ({role, content}));
    const system = settings.elements.system.value;
    if (system.trim()) messages.unshift({role: "system", content: system});
    const made = {role: "assistant", content: ""}, told = {};
    const said = this.addMessage(made);
    const text = said.appendChild(document.createTextNode(""));
    const log = byId("messages");
    said.classList.add("writing");
    log.ariaBusy = "true";  // read out when it is whole
    toEnd();
    return run(this.view, async signal => {
      try {
        return await stream(this.view, "/v1/chat/completions", {model: model.id, messages, ...chosen}, signal, told, piece => {
          const follow = atEnd();
          made.content += piece;
          text.appendData(piece);
          if (follow) toEnd();
        });
      } finally {
        log.ariaBusy = "false";
        made.id = told.id;
        const follow = atEnd();
        if (made.content || told.whole) this.messages.push(made);
        this.keep();
        this.draw();
        if (follow) toEnd();
      }
    });
  },

  /// As high as its text.
  fit() {
    this.field.style.height = "auto";
    this.field.style.height = this.field.scrollHeight + 2 + "px";
  },
};

onSubmit(chat.view, () => chat.send());
sendOnEnter(chat.field, true);
chat.field.oninput = () => chat.fit();
byId("clear-chat").onclick = async () => {
  await stop();
  chat.messages = [];
  chat.keep();
  chat.draw();
  sayIn(chat.view, "");
  showError(chat.view, "");
  chat.field.focus();
};
