"use strict";
// What all views use: elements, what a tab keeps, requests, the key, and what is running. Texts of models are only ever
// put in as text.

const byId = id => document.getElementById(id);

function add(parent, name, text, className) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return parent.appendChild(made);
}

function addButton(parent, text, action, className = "quiet") {
  const made = add(parent, "button", text, className);
  made.type = "button";
  made.onclick = () => action(made);
  return made;
}

/// Kept until the tab is closed.
const kept = {
  get(name, otherwise) {
    try {
      return JSON.parse(sessionStorage.getItem("heed." + name)) ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  set(name, value) {
    try {
      sessionStorage.setItem("heed." + name, JSON.stringify(value));
    } catch { /* full, or forbidden: it only serves a reload */ }
  },
};

let models = [];   // as GET /v1/models lists them
let model = null;  // the chosen one

let key = kept.get("key", "");
let keyAsked = null;  // one dialog for all requests that wait for it

function askForKey() {
  keyAsked ??= new Promise((resolve, reject) => {
    const dialog = byId("key"), field = byId("key-field");
    byId("key-wrong").hidden = !key;
    field.value = dialog.returnValue = "";
    dialog.onclose = () => {
      keyAsked = null;
      if (dialog.returnValue !== "ok") return reject(new Error("This server answers only those who have its API key."));
      kept.set("key", key = field.value);
      resolve();
    };
    dialog.showModal();
  });
  return keyAsked;
}

/// What the server says is wrong: OpenAI's interface puts it into an object, LibreTranslate's does not.
async function failure(answer) {
  let message = `The server answered with status ${answer.status}.`;
  try {
    const {error} = await answer.json();
    message = error.message ?? String(error);
  } catch { /* it is no JSON, then */ }
  return Object.assign(new Error(message), {status: answer.status});
}

/// Sends `body` as JSON, or gets where there is none. Throws what the server says is wrong.
async function ask(path, body, signal) {
  for (;;) {
    const used = key;
    const headers = body ? {"Content-Type": "application/json"} : {};
    if (used) headers.Authorization = "Bearer " + used;
    let answer;
    try {
      answer = await fetch(path, {method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal});
    } catch (error) {
      throw error.name === "AbortError" ? error : new Error("The server cannot be reached.");
    }
    if (answer.ok) return answer;
    if (answer.status !== 401) throw await failure(answer);
    if (used === key) await askForKey();
  }
}

/// The JSON of a stream's events.
async function* eventsOf(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const {value, done} = await reader.read().catch(error => {
      throw error.name === "AbortError" ? error : new Error("The answer broke off: the server cannot be reached.");
    });
    if (done) throw new Error("The answer broke off.");
    rest += value;
    for (let end; (end = rest.indexOf("\n\n")) >= 0; rest = rest.slice(end + 2)) {
      if (!rest.startsWith("data: ")) continue;  // a comment that keeps the connection
      const data = rest.slice(6, end);
      if (data === "[DONE]") return;
      const event = JSON.parse(data);
      if (event.error) throw new Error(event.error.message);
      yield event;
    }
  }
}

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const seconds = ms => (ms / 1000).toFixed(1) + " s";

function sayIn(view, text) { view.querySelector(".status").textContent = text; }

function showError(view, message) {
  const line = view.querySelector(".error");
  line.hidden = !message;
  line.textContent = message;
}

let running = null;  // what stops it
let ended = Promise.resolve();

/// Returns when what was running has ended.
function stop() {
  running?.abort();
  return ended;
}

/// Does a view's work, which its button and Escape stop. One at a time. `work` gets a signal and says what came of it.
function run(view, work) {
  if (!running) ended = runAlone(view, work);
  return ended;
}

async function runAlone(view, work) {
  running = new AbortController();
  const button = view.querySelector(".go"), text = button.textContent, began = performance.now();
  button.textContent = "Stop";
  button.classList.add("stop");
  byId("model").disabled = byId("mode").disabled = true;
  showError(view, "");
  sayIn(view, "Waiting for the model…");
  try {
    const said = await work(running.signal);
    sayIn(view, said ?? `Done in ${seconds(performance.now() - began)}.`);
  } catch (error) {
    const stopped = error.name === "AbortError";
    sayIn(view, stopped ? "Stopped." : "");
    if (!stopped) showError(view, error.message);
  } finally {
    running = null;
    button.textContent = text;
    button.classList.remove("stop");
    byId("model").disabled = byId("mode").disabled = false;
  }
}

/// The view's form starts its work, or stops it.
function onSubmit(view, work) {
  view.querySelector("form").onsubmit = event => {
    event.preventDefault();
    if (running) stop();
    else work();
  };
  // Fields that must be filled are no reason not to stop.
  view.querySelector(".go").addEventListener("click", event => {
    if (!running) return;
    event.preventDefault();
    stop();
  });
}

/// Ctrl+Enter sends, and with `plain` Enter too, but where keys are on a screen, and Enter is the only way to a new line.
function sendOnEnter(area, plain) {
  area.addEventListener("keydown", event => {
    if (event.key !== "Enter" || event.isComposing || event.shiftKey) return;
    if (!event.ctrlKey && !event.metaKey && !(plain && !matchMedia("(pointer: coarse)").matches)) return;
    event.preventDefault();
    if (!running) area.form.requestSubmit();
  });
}

async function copy(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {  // a page without https that is not of this machine has no clipboard
    const area = add(button.parentNode, "textarea", undefined, "unseen");
    area.value = text;
    area.select();
    button.textContent = document.execCommand("copy") ? "Copied" : "Not copied";
    area.remove();
  }
  setTimeout(() => button.textContent = before, 1500);
}

document.addEventListener("keydown", event => {
  if (event.key === "Escape" && running && !byId("key").open) stop();
});
