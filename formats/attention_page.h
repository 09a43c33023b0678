#pragma once

#include <string_view>

namespace heed {

/// The page of attention around its data: a JSON object takes the place of "@DATA@".
/// Without anything from elsewhere, so that it can be kept and sent.
constexpr std::string_view kAttentionPage = R"page(<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>heed: what attention looked at</title>
<style>
:root{color-scheme:light dark;--ink:8 48 107;--paper:#fff;--text:#111;--line:#d4d4d4;--mark:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:150 205 255;--paper:#111;--text:#eee;--line:#3a3a3a;--mark:#ff8a80}}
*{box-sizing:border-box}
body{font:16px/1.45 system-ui,sans-serif;margin:0;padding:1em;color:var(--text);background:var(--paper)}
h1{font-size:1.25em;margin:0 0 .3em} p{margin:.3em 0}
.choices{display:flex;flex-wrap:wrap;gap:.6em 1em;margin:.7em 0}
.choices label{display:flex;gap:.4em;align-items:center;max-width:100%;min-width:0}
select{font:inherit;min-height:2.2em;min-width:0;max-width:100%;text-overflow:ellipsis}
output{display:block;min-height:2.9em;overflow-wrap:anywhere}
.frame{overflow:auto;max-height:85vh;max-width:max-content;border:1px solid var(--line)}
table{border-collapse:separate;border-spacing:1px}
th{font-weight:normal;font-size:.85em;background:var(--paper);white-space:nowrap;padding:0 .3em}
th.row{position:sticky;left:0;z-index:1;text-align:right;max-width:9em;overflow:hidden;text-overflow:ellipsis}
th.column{position:sticky;top:0;z-index:2;vertical-align:bottom;padding:.3em 0}
th.column span{display:inline-block;writing-mode:vertical-rl;text-orientation:sideways;
  transform:rotate(180deg);max-height:9em;overflow:hidden;
  text-overflow:ellipsis}
td.corner{position:sticky;left:0;top:0;z-index:3;background:var(--paper)}
td.cell{min-width:24px;width:24px;height:24px;padding:0;background:rgb(var(--ink)/var(--w,0));
  box-shadow:0 0 0 1px var(--line)}
td.cell:focus{outline:3px solid var(--mark);outline-offset:-1px}
th.seen{color:var(--mark);font-weight:bold}
.legend{display:flex;gap:.5em;align-items:center;margin:.7em 0}
.scale{display:inline-block;width:10em;height:1em;border:1px solid var(--line);
  background:linear-gradient(to right,rgb(var(--ink)/0),rgb(var(--ink)/1))}
@media(max-width:30em){body{padding:.6em}th.row{max-width:6em}th.column span{max-height:6em}}
</style></head><body>
<h1>What attention looked at</h1>
<p>A row is a token that was written, a column one that was looked at; "&#x2581;" is a space.</p>
<noscript><p>This page draws with JavaScript, which is turned off.</p></noscript>
<div class="choices"><label>Layer <select id="layer"></select></label><label>Head <select id="head"></select></label></div>
<output id="value" aria-live="polite">Point at a cell, or move through them with the arrow keys, to read its weight.</output>
<div class="frame"><table id="map" role="grid" aria-label="Weights"></table></div>
<div class="legend"><span>0</span><span class="scale"></span><span id="largest"></span></div>
<script type="application/json" id="data">@DATA@</script>
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);
const [layer, head, value, table] = ["layer", "head", "value", "map"].map(byId);
const kScale = 10000;  // weights are whole numbers of 1/10000
let shown = "";        // kinds of tokens that the table was made for
let cells = [], rowHeads = [], columnHeads = [], weights = [];
let current = -1;      // the cell that the keyboard is at

function add(parent, name, text, className) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return parent.appendChild(made);
}
function option(list, text, value) { add(list, "option", text).value = value; }

function makeTable(map) {
  const rows = data.tokens[map.rows], columns = data.tokens[map.columns];
  if (shown === map.rows + "/" + map.columns) return;
  shown = map.rows + "/" + map.columns;
  table.replaceChildren();
  const top = add(add(table, "thead"), "tr");
  add(top, "td", "", "corner");
  columnHeads = columns.map(text => {
    const made = add(top, "th", undefined, "column");
    made.scope = "col";
    made.title = add(made, "span", text).textContent;
    return made;
  });
  cells = [];
  const body = add(table, "tbody");
  rowHeads = rows.map(text => {
    const line = add(body, "tr");
    const made = add(line, "th", text, "row");
    made.scope = "row";
    made.title = text;
    for (let i = 0; i < columns.length; ++i) {
      const cell = add(line, "td", undefined, "cell");
      cell.tabIndex = -1;
      cell.dataset.at = cells.length;
      cells.push(cell);
    }
    return made;
  });
  current = -1;
  cells[0].tabIndex = 0;
}

function fillHeads() {
  const map = data.maps[layer.value];
  const before = head.value;
  head.replaceChildren();
  option(head, "average", "average");
  for (let i = 0; map.heads > 1 && i < map.heads; ++i) option(head, "head " + i, i);
  head.value = [...head.options].some(o => o.value === before) ? before : "average";
}

function draw() {
  const map = data.maps[layer.value];
  makeTable(map);
  const size = cells.length;
  weights = new Array(size).fill(0);
  for (let i = 0; i < map.heads; ++i) {
    if (head.value !== "average" && Number(head.value) !== i) continue;
    for (let j = 0; j < size; ++j) weights[j] += map.weights[i * size + j];
  }
  const scale = head.value === "average" ? kScale * map.heads : kScale;
  let largest = 0;
  for (let j = 0; j < size; ++j) {
    weights[j] /= scale;
    largest = Math.max(largest, weights[j]);
  }
  for (let j = 0; j < size; ++j) {
    const share = largest > 0 ? Math.max(0, weights[j]) / largest : 0;
    cells[j].style.setProperty("--w", share.toFixed(3));
    cells[j].setAttribute("aria-label", weights[j].toFixed(4));
  }
  byId("largest").textContent = largest.toFixed(4);
  if (current >= 0) tell(current);
}

function tell(at) {
  const columns = columnHeads.length, row = Math.floor(at / columns), column = at % columns;
  for (const seen of table.querySelectorAll("th.seen")) seen.classList.remove("seen");
  rowHeads[row].classList.add("seen");
  columnHeads[column].classList.add("seen");
  value.textContent = "\u201C" + rowHeads[row].textContent + "\u201D (" + row + ") looked at \u201C" +
      columnHeads[column].textContent + "\u201D (" + column + "): " + weights[at].toFixed(4);
}

function go(at) {
  cells[Math.max(current, 0)].tabIndex = -1;
  current = at;
  cells[at].tabIndex = 0;
  cells[at].focus();
}

const cellOf = event => event.target.closest && event.target.closest("td.cell");
table.addEventListener("mouseover", event => { const cell = cellOf(event); if (cell) tell(Number(cell.dataset.at)); });
table.addEventListener("click", event => { const cell = cellOf(event); if (cell) go(Number(cell.dataset.at)); });
table.addEventListener("focusin", event => {
  const cell = cellOf(event);
  if (!cell) return;
  current = Number(cell.dataset.at);
  tell(current);
});
table.addEventListener("keydown", event => {
  if (!cellOf(event) || event.altKey || event.ctrlKey || event.metaKey) return;
  const columns = columnHeads.length, column = current % columns;
  let to = -1;
  if (event.key === "ArrowRight" && column + 1 < columns) to = current + 1;
  if (event.key === "ArrowLeft" && column > 0) to = current - 1;
  if (event.key === "ArrowDown") to = current + columns;
  if (event.key === "ArrowUp") to = current - columns;
  if (event.key === "Home") to = current - column;
  if (event.key === "End") to = current - column + columns - 1;
  if (/^(Arrow|Home|End)/.test(event.key)) event.preventDefault();
  if (to >= 0 && to < cells.length) go(to);
});
layer.addEventListener("change", () => { fillHeads(); draw(); });
head.addEventListener("change", draw);

data.maps.forEach((map, i) => option(layer, map.name, i));
fillHeads();
draw();
</script>
</body></html>
)page";

}  // namespace heed
