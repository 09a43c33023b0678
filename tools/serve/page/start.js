// The models that the server has, and the view of the one that is chosen.

const kJobs = {
  "text": "writes texts", "translation": "translates", "draw": "draws", "text-to-image": "draws what a text says",
  "transform": "changes pictures",
};

function viewOf(chosen) {
  switch (chosen.task) {
    case "text": return chosen.chat && document.querySelector("[name=mode]:checked").value === "chat" ? chat : completion;
    case "translation": return translation;
    case "draw":
    case "text-to-image": return drawing;
    case "transform": return transform;
  }
  return null;
}

function showView() {
  model = models.find(({id}) => id === byId("model").value);
  kept.set("model", model.id);
  const view = viewOf(model), isText = model.task === "text";
  for (const {view: section} of [chat, completion, translation, drawing, transform]) section.hidden = true;
  byId("mode").hidden = !(isText && model.chat);
  byId("settings").hidden = !isText;
  byId("system-label").hidden = view !== chat;
  settings.elements.max_tokens.placeholder = view === chat ? "what fits" : "200";
  byId("about").textContent = (kJobs[model.task] ?? model.task) + (isText ? `, up to ${plural(model.context_length, "token")}` : "");
  if (!view) return;
  view.view.hidden = false;
  view.show();
}

async function start() {
  const loading = byId("loading");
  try {
    models = (await (await ask("/v1/models")).json()).data;
    loading.hidden = true;
    const list = byId("model");
    list.replaceChildren();
    for (const {id} of models) add(list, "option", id).value = id;
    const last = kept.get("model");
    if (models.some(({id}) => id === last)) list.value = last;
    if (models.length > 0) showView();
  } catch (error) {
    loading.textContent = error.message + " ";
    addButton(loading, "Try again", () => {
      loading.textContent = "Asking the server for its models…";
      start();
    }, "");
  }
}

byId("model").onchange = showView;
byId("mode").onchange = () => {
  kept.set("mode", document.querySelector("[name=mode]:checked").value);
  showView();
};
for (const button of document.querySelectorAll("[name=mode]")) button.checked = button.value === kept.get("mode", "chat");
start();
