// Where a model looked: tokens that can be pointed at, shaded by weight.

/// A token's text to be seen by itself: breaks and spaces have no look of their own.
const seen = text => text.replace(/▁/g, " ").trim() || text.replace(/\n/g, "↵").replace(/[ ▁]/g, "␣") || "·";

/// Shades elements by weights from 0 to 1, the largest of them darkest. The root lets small weights be seen.
function shade(elements, weights) {
  const largest = Math.max(...weights, 1e-9);
  elements.forEach((element, i) => {
    const weight = weights[i] ?? 0;
    element.style.setProperty("--w", (0.75 * Math.sqrt(weight / largest)).toFixed(3));
    element.title = weight.toFixed(3);
  });
}

/// The tokens with the largest weights, in words.
function heaviest(tokens, weights) {
  return weights.map((weight, i) => [weight, i]).sort((a, b) => b[0] - a[0]).slice(0, 4)
    .map(([weight, i]) => `“${seen(tokens[i])}” ${weight.toFixed(2)}`).join(", ");
}

/// Elements of a list of which one at a time can be reached with the tab key, the others from it with arrows. `choose`
/// gets the index that is pointed at, clicked or moved to.
function choosable(elements, choose) {
  const chosen = i => {
    elements.forEach((element, j) => {
      element.classList.toggle("chosen", i === j);
      element.tabIndex = i === j ? 0 : -1;
    });
    choose(i);
  };
  elements.forEach((element, i) => {
    element.tabIndex = i === 0 ? 0 : -1;
    element.setAttribute("role", "button");
    element.onclick = element.onfocus = () => chosen(i);
    element.onpointerenter = event => { if (event.pointerType === "mouse") chosen(i); };
    element.onkeydown = event => {
      const to = {ArrowLeft: i - 1, ArrowUp: i - 1, ArrowRight: i + 1, ArrowDown: i + 1, Home: 0, End: elements.length - 1}[event.key];
      if (to === undefined) return;
      event.preventDefault();
      elements[to]?.focus();
    };
  });
  return chosen;
}

function hideAttention(view) {
  const place = view.querySelector(".attention");
  place.hidden = true;
  place.replaceChildren();
}

/// Asks what the tokens of an answer looked at, and shows it.
function showTextAttention(view, id) {
  return run(view, async signal => {
    const get = async more => (await ask("/v1/attention", {id, index: 0, ...more}, signal)).json();
    const all = await get({}).catch(error => {
      if (error.status !== 400) throw error;
      return get({layers: [0]});  // all layers of a long text are more than the server sends
    });
    drawTextAttention(view, all);
    return "";
  });
}

/// As /v1/attention has it: `rows` are the tokens that were written, or read, one after the other; `columns` what was
/// before each, of which row i has weights for the first i + 1. Both are the text, but for its first and last token.
function drawTextAttention(view, {rows, columns, prompt_tokens: read, layers}) {
  const tokens = [columns[0], ...rows];
  hideAttention(view);
  const place = view.querySelector(".attention");
  place.hidden = false;
  add(place, "h2", "What it looked at");
  const choices = add(place, "div", undefined, "row");
  const label = add(choices, "label", "Layer", "field");
  const list = add(label, "select");
  layers.forEach(({layer}, i) => add(list, "option", layer).value = i);
  list.value = layers.length - 1;
  const leave = add(choices, "label", undefined, "field");
  const box = add(leave, "input");
  box.type = "checkbox";
  box.checked = true;
  leave.append("Leave out the first token, where attention rests");
  const line = add(place, "p", undefined, "tokens");
  const elements = tokens.map(text => add(line, "span", text.replace(/▁/g, " "), "token"));
  const words = add(place, "p", "Underlined tokens were written. Choose one, with the pointer or the arrow keys, to see what it looked at.", "muted");
  words.role = "status";
  const first = Math.max(read, 1);  // nothing was before the first token
  let at = -1;
  const show = () => {
    if (at < 0) return;
    const row = layers[list.value].weights[at - 1];
    const looked = tokens.map((_, i) => i < at && !(box.checked && i === 0) ? row[i] : 0);
    shade(elements, looked);
    words.textContent = `“${seen(tokens[at])}” looked most at ${heaviest(tokens, looked)}.`;
  };
  choosable(elements.slice(first), i => {
    at = first + i;
    show();
  });
  list.onchange = box.onchange = show;
  place.scrollIntoView({block: "nearest"});
}

/// {source, target, weights}: a row of weights over the source for each token of the target.
function drawAlignment(parent, {source, target, weights}) {
  const place = add(parent, "div", undefined, "alignment");
  const line = (name, tokens) => {
    add(place, "h2", name);
    const made = add(place, "p", undefined, "tokens spaced");
    return tokens.map(text => add(made, "span", seen(text), "token"));
  };
  const read = line("Read", source), written = line("Written", target);
  const words = add(place, "p", "Choose a token, with the pointer or the arrow keys, to see what it looked at.", "muted");
  words.role = "status";
  const details = add(place, "details");
  add(details, "summary", "As a table");
  details.open = source.length * target.length <= 400;
  const table = add(add(details, "div", undefined, "frame"), "table");
  const top = add(table, "tr");
  add(top, "td");
  for (const text of source) {
    const head = add(top, "th");
    head.scope = "col";
    add(head, "span", seen(text));
  }
  const rows = target.map((text, i) => {
    const row = add(table, "tr");
    add(row, "th", seen(text)).scope = "row";
    shade(source.map(() => add(row, "td", undefined, "weight")), weights[i]);
    return row;
  });
  const mark = i => rows.forEach((row, j) => row.classList.toggle("chosen", i === j));
  const ofTarget = choosable(written, i => {
    read.forEach(element => element.classList.remove("chosen"));
    shade(written, written.map(() => 0));
    shade(read, weights[i]);
    words.textContent = `“${seen(target[i])}” looked most at ${heaviest(source, weights[i])}.`;
    mark(i);
  });
  choosable(read, i => {
    written.forEach(element => element.classList.remove("chosen"));
    const column = weights.map(row => row[i]);
    shade(read, read.map(() => 0));
    shade(written, column);
    words.textContent = `“${seen(source[i])}” was looked at most by ${heaviest(target, column)}.`;
    mark(-1);
  });
  rows.forEach((row, i) => row.onpointerenter = () => ofTarget(i));
}
