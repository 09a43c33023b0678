// Texts as they are written: what chat and continuing have in common.

const settings = byId("settings-form");

for (const [name, value] of Object.entries(kept.get("settings", {}))) {
  if (settings.elements[name]) settings.elements[name].value = value;
}
settings.oninput = () => kept.set("settings", Object.fromEntries(new FormData(settings)));
settings.onsubmit = event => event.preventDefault();

/// What the settings say, as requests have it; null where one of them is no such number, which is then pointed out.
function chosenSettings() {
  const invalid = [...settings.elements].find(field => !field.checkValidity());
  if (invalid) {
    byId("settings").open = true;
    invalid.reportValidity();
    return null;
  }
  const chosen = {};
  for (const field of settings.elements) {
    if (field.type === "number" && field.value !== "") chosen[field.name] = Number(field.value);
  }
  return chosen;
}

/// Streams a text from `path`; `take` gets each piece. What is known of it stands in `told`, whatever happens: the
/// answer's id, and whether it is whole.
async function stream(view, path, body, signal, told, take) {
  const answer = await ask(path, {...body, stream: true, stream_options: {include_usage: true}}, signal);
  let first = 0, last = 0, letters = 0, tokens = 0, shown = 0, reason = "";
  const rate = (count, what) => last > first ? `, ${Number((count * 1000 / (last - first)).toPrecision(3))} ${what}/s` : "";
  for await (const event of eventsOf(answer)) {
    signal.throwIfAborted();  // of what had come already
    told.id ??= event.id;
    if (event.usage) tokens = event.usage.completion_tokens;
    const choice = event.choices?.[0];
    if (!choice) continue;
    reason = choice.finish_reason ?? reason;
    const text = choice.text ?? choice.delta?.content;
    if (!text) continue;
    const now = performance.now();
    first ||= now;
    last = now;
    letters += text.length;
    take(text);
    if (now - shown < 250) continue;
    shown = now;
    sayIn(view, `Writing: ${letters} characters${rate(letters, "characters")}`);  // a piece may be several tokens
  }
  told.whole = true;
  const cut = reason === "length" ? " No more were allowed." : "";
  return `${plural(tokens, "token")}${rate(tokens - 1, "tokens")}.${cut}`;
}

/// Whether the page's end can be seen, so that it is to stay in sight.
function atEnd() {
  const page = document.scrollingElement;
  return page.scrollHeight - page.scrollTop - page.clientHeight < 80;
}

function toEnd() { document.scrollingElement.scrollTop = document.scrollingElement.scrollHeight; }
