// The waterfall's tree: collapse and expand, keyboard, find, copy; and word of late spans. Without it the lines are a list
// that opens.
"use strict";

const list = document.getElementById("spans");
const rows = list ? [...list.children] : [];
const depth = (row) => Number(row.dataset.depth);
const below = (row) => Number(row.dataset.below);
const place = new Map(rows.map((row, index) => [row, index]));
const collapsed = new Set();
let current = rows[0];

/** Hide what hangs below collapsed rows, and tell it to assistive technology. */
function draw() {
  const focused = list.contains(document.activeElement) ? document.activeElement.closest("li") : null;
  let hiddenBelow = Infinity;
  for (const row of rows) {
    row.hidden = depth(row) > hiddenBelow;
    if (row.hidden) continue;
    const closed = collapsed.has(row);
    hiddenBelow = closed ? depth(row) : Infinity;
    row.classList.toggle("closed", closed);
    if (below(row) > 0) row.setAttribute("aria-expanded", String(!closed));
  }
  const shown = (row) => parentOf(row, (above) => !above.hidden) ?? rows[0];
  // A browser takes the focus from what is hidden, and gives it to nothing.
  if (focused?.hidden) mark(shown(focused), true);
  else if (current?.hidden) mark(shown(current));
}

/** The nearest row above of which this hangs, and which is as wanted. */
function parentOf(row, wanted = () => true) {
  let level = depth(row);
  for (let index = place.get(row) - 1; index >= 0; index -= 1) {
    if (depth(rows[index]) < level) {
      if (wanted(rows[index])) return rows[index];
      level = depth(rows[index]);
    }
  }
  return undefined;
}

/** Make a row the one that keys are about. */
function mark(row, focus = false) {
  if (!row) return;
  current?.setAttribute("tabindex", "-1");
  current = row;
  row.setAttribute("tabindex", "0");
  if (focus) {
    row.focus({ preventScroll: true });
    row.querySelector("summary, code")?.scrollIntoView({ block: "nearest" });
  }
}

/** Collapse or expand a row. */
function fold(row, closed) {
  if (below(row) === 0) return;
  if (closed) collapsed.add(row);
  else collapsed.delete(row);
  draw();
}

/** Collapse or expand all. */
function foldAll(closed) {
  collapsed.clear();
  if (closed) for (const row of rows) if (below(row) > 0 && depth(row) > 0) collapsed.add(row);
  draw();
}

/** Show a row wherever it hangs. */
function reveal(row) {
  for (let above = parentOf(row); above; above = parentOf(above)) collapsed.delete(above);
  draw();
}

/** The next row that is shown, or the previous one. */
function step(row, by, wanted = (other) => !other.hidden) {
  for (let index = place.get(row) + by; index >= 0 && index < rows.length; index += by) {
    if (wanted(rows[index])) return rows[index];
  }
  return undefined;
}

/** What a key does; whether it does anything. */
function key(name) {
  const open = below(current) > 0 && !collapsed.has(current);
  switch (name) {
    case "ArrowDown": case "j": mark(step(current, 1), true); return true;
    case "ArrowUp": case "k": mark(step(current, -1), true); return true;
    case "ArrowRight": case "l":
      if (open) mark(step(current, 1), true);
      else fold(current, false);
      return true;
    case "ArrowLeft": case "h":
      if (open) fold(current, true);
      else mark(parentOf(current), true);
      return true;
    case "Enter": case " ": {
      const details = current.querySelector("details");
      if (details) details.open = !details.open;
      return true;
    }
    case "Home": mark(rows[0], true); return true;
    case "End": mark(rows.findLast((row) => !row.hidden), true); return true;
    case "n": {
      const bad = (row) => row.classList.contains("bad");
      const next = step(current, 1, bad) ?? rows.find(bad);
      if (next) { reveal(next); mark(next, true); }
      return true;
    }
    case "c": foldAll(true); return true;
    case "e": foldAll(false); return true;
    case "/": document.getElementById("find").focus(); return true;
    case "?": document.getElementById("help").showModal(); return true;
    default: return false;
  }
}

/** Dim the rows that do not have the text, and count the others. */
function find(text) {
  const wanted = text.trim().toLowerCase();
  let count = 0;
  for (const row of rows) {
    const has = wanted !== "" && row.textContent.toLowerCase().includes(wanted);
    row.classList.toggle("hit", has);
    if (has) count += 1;
  }
  list.classList.toggle("searched", wanted !== "");
  document.getElementById("found").textContent = wanted === "" ? "" : `${count} of ${rows.length}`;
}

/** Copy a text, also where the page may not use the clipboard. */
async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(button.parentElement.querySelector(".curl"));
    button.textContent = "Selected: press Ctrl-C";
  }
  setTimeout(() => { button.textContent = "Copy as curl"; }, 2000);
}

/** Go where the address points to. */
function follow() {
  const row = location.hash.startsWith("#span-") ? document.getElementById(location.hash.slice(1)) : null;
  if (!row || !place.has(row)) return;
  reveal(row);
  const details = row.querySelector("details");
  if (details) details.open = true;
  mark(row, true);
  row.scrollIntoView({ block: "center" });
}

/** Give the list the roles of a tree, and each branch a button. */
function prepare() {
  list.setAttribute("role", "tree");
  for (const row of rows) {
    row.setAttribute("role", "treeitem");
    row.setAttribute("aria-level", String(depth(row) + 1));
    row.setAttribute("tabindex", "-1");
    const summary = row.querySelector("summary");
    const name = (summary ?? row).textContent.replace(/\s+/g, " ").trim();
    row.setAttribute("aria-label", name);
    summary?.setAttribute("tabindex", "-1");
    if (below(row) > 0) {
      const button = document.createElement("button");
      button.className = "twist";
      button.type = "button";
      button.tabIndex = -1;
      button.setAttribute("aria-label", "Collapse or expand what is below");
      row.prepend(button);
    }
  }
  document.documentElement.classList.add("scripted-tree");
}

if (list && rows.length > 0) {
  prepare();
  for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
  mark(rows[0]);
  draw();
  follow();
  addEventListener("hashchange", follow);

  list.addEventListener("focusin", (event) => {
    if (place.has(event.target)) mark(event.target);
  });
  list.addEventListener("click", (event) => {
    const row = event.target.closest("li");
    if (!place.has(row)) return;
    mark(row);
    if (event.target.matches(".twist")) fold(row, !collapsed.has(row));
    if (event.target.matches(".copy")) copy(row.querySelector(".curl").textContent, event.target);
  });
  document.getElementById("collapse").addEventListener("click", () => foldAll(true));
  document.getElementById("expand").addEventListener("click", () => foldAll(false));
  document.getElementById("help-button").addEventListener("click", () => key("?"));

  const field = document.getElementById("find");
  field.addEventListener("input", () => find(field.value));
  field.addEventListener("keydown", (event) => {
    const hit = (row) => row.classList.contains("hit");
    if (event.key === "Enter") {
      event.preventDefault();
      const next = step(current, event.shiftKey ? -1 : 1, hit) ?? rows.find(hit);
      if (next) {
        reveal(next);
        mark(next);
        for (const row of rows) row.classList.toggle("at", row === next);
        next.scrollIntoView({ block: "center" });
      }
    } else if (event.key === "Escape") {
      field.value = "";
      find("");
      mark(current, true);
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    // Links, buttons and fields have keys of their own.
    const own = event.target.closest("input, textarea, select, a, button");
    if (own && (own.matches("input, textarea, select") || event.key === "Enter" || event.key === " ")) return;
    if ((event.key === "Enter" || event.key === " ") && !list.contains(event.target)) return;
    if (key(event.key)) event.preventDefault();
  });
}

/** Say how many spans have come since the page was written. */
function tellLate(late, more) {
  if (more <= 0) return;
  const link = document.createElement("a");
  link.href = location.href;
  link.textContent = more === 1 ? "1 more span came: show it" : `${more} more spans came: show them`;
  // Following it would only move within the page if the address has a fragment, which is to stay.
  link.addEventListener("click", (event) => {
    event.preventDefault();
    location.reload();
  });
  late.replaceChildren(link);
}

const late = document.getElementById("late");
if (late) {
  let events;
  // As in the search: what nobody sees keeps no connection, and the first message tells of what came meanwhile.
  const connect = () => {
    events?.close();
    if (document.hidden) return;
    events = new EventSource(late.dataset.live);
    events.onmessage = (event) => tellLate(late, Number(event.data) - Number(late.dataset.spans));
  };
  connect();
  document.addEventListener("visibilitychange", connect);
}
