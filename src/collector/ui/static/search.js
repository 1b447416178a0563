// The search, live: the results are fetched again when the server tells that something has come.
"use strict";

const found = document.querySelector("[data-live]");
const results = document.getElementById("results");
const state = document.getElementById("live-state");
const pause = document.getElementById("pause");

/** The ids of the traces in the table. */
const shown = () => new Set([...results.querySelectorAll("[data-trace]")].map((row) => row.dataset.trace));

/** When each trace came that stands out as new, and for how long it does. */
const cameAt = new Map();
const NEW_MS = 2000;

let paused = false;
let stale = false;
let fetching = false;

/** Fetch the results, one request at a time; what comes meanwhile is fetched after that. */
async function refresh() {
  stale = true;
  if (fetching || paused || document.hidden) return;
  fetching = true;
  while (stale && !paused) {
    stale = false;
    try {
      const answer = await fetch(found.dataset.results);
      if (answer.ok) show(await answer.text());
    } catch {
      // The stream tells that the collector is gone, and when it is back.
    }
  }
  fetching = false;
}

/** Put the results in place of the old ones, which only have what the server has escaped. */
function show(html) {
  if (!html.includes("<table") && results.querySelector(".empty")) return;
  const before = shown();
  const focused = results.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  results.innerHTML = html;
  // The next results may come at once: what is new stays so for its time.
  const now = performance.now();
  for (const [trace, at] of cameAt) if (now - at > NEW_MS) cameAt.delete(trace);
  for (const row of results.querySelectorAll("[data-trace]")) {
    if (!before.has(row.dataset.trace)) cameAt.set(row.dataset.trace, now);
    row.classList.toggle("new", cameAt.has(row.dataset.trace));
  }
  const link = [...results.querySelectorAll("a")].find((other) => other.getAttribute("href") === focused);
  link?.focus({ preventScroll: true });
}

/** Say how it stands. */
function tell(text, lively) {
  if (state.textContent !== text) state.textContent = text;
  state.classList.toggle("on", lively);
}

if (found) {
  for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
  let events;
  const tellState = () => {
    if (paused) tell("paused", false);
    else if (events.readyState === EventSource.OPEN) tell("live", true);
    else tell("not connected: is the collector running?", false);
  };
  // A browser has few connections for each server: what nobody sees does not keep one. The first message tells of all
  // that came meanwhile.
  const connect = () => {
    events?.close();
    if (document.hidden) return;
    events = new EventSource(found.dataset.live);
    events.onopen = tellState;
    events.onerror = tellState;
    events.onmessage = () => {
      tellState();
      refresh();
    };
  };
  connect();
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(paused));
    tellState();
    if (!paused && stale) refresh();
  });
  document.addEventListener("visibilitychange", connect);
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    document.querySelector("[name=attributes]").focus();
  }
});
