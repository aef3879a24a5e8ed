// The incident page: loads the board, follows it live, and draws what changed. It only reads.

import { board, now, overdue, take } from "./board.js";
import { palette, view } from "./chart.js";
import { draw, redraw, showCards } from "./cards.js";
import { showTable } from "./tables.js";
import { count, el, isRefusal, span, time, zone } from "./words.js";

const $ = (id) => document.getElementById(id);
const RETRY_MS = 3000, SILENT_MS = 20000;
let chosen = "", source = null, lostSince = 0, heardMs = 0, queued = false;

async function connect() {
  source?.close();
  source = null;
  heardMs = performance.now();
  try {
    const answer = await fetch(`api/board?since=${board.n}`, { cache: "no-store", signal: AbortSignal.timeout(15000) });
    if (!answer.ok) throw new Error(String(answer.status));
    receive(await answer.json());
  } catch {
    lost();
    setTimeout(connect, RETRY_MS);
    return;
  }
  source = new EventSource(`api/live?since=${board.n}`);
  source.onmessage = (event) => receive(JSON.parse(event.data));
  source.onopen = found;
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_MS); // refused: asked now and then instead
    else lost();
  };
}

// A connection that broke without a word, as when a laptop slept, is made anew.
function watch() {
  if (source && performance.now() - heardMs > SILENT_MS) connect();
}

function receive(update) {
  found();
  take(update);
  later();
}

function lost() {
  lostSince ||= now();
  headline();
}

function found() {
  heardMs = performance.now();
  lostSince = 0;
  headline();
}

// Many updates at once, after a break, are drawn once.
function later() {
  if (queued) return;
  queued = true;
  requestAnimationFrame(() => { queued = false; show(); });
}

function show() {
  headline();
  facts();
  const filter = $("filter").value.trim().toLowerCase();
  showCards(filter, chosen, choose);
  const has = (row) => !filter || JSON.stringify(Object.values(row)).toLowerCase().includes(filter);
  const mine = (row) => !chosen || row.service === chosen || row.service === "*";
  const refusals = $("refusals").checked;
  showTable("decisions", (row) => mine(row) && (refusals || !isRefusal(row)) && has(row), later);
  showTable("events", (row) => mine(row) && has(row), later);
  showTable("builds", (row) => (!chosen || row.repo.includes(chosen)) && has(row), later);
  showTable("quarantine", (row) => (!chosen || row.value.includes(chosen)) && has(row), later);
  leftOut();
}

// Of each state: the headline where something is known, and the one where nothing ever was.
const HEADLINES = {
  live: ["Live", "Live"],
  loading: ["Reading the past", "Reading the past"],
  no_kafka: ["The queue alone", "The queue alone"],
  no_topics: ["Old since", "No topics yet"],
  kafka_away: ["Old since", "Kafka does not answer"],
  silent: ["Standing still since", "Nothing was written yet"],
  lost: ["Old since", "No answer"],
};
const CALM = ["live", "loading", "no_kafka"];

function headline() {
  const standing = lostSince
    ? { state: "lost", since_ms: board.loaded ? lostSince : 0, sentence: "the gateway does not answer; the page tries again by itself" }
    : board.loaded ? board.standing : { state: "loading", since_ms: 0, sentence: "asking the gateway for what it knows" };
  const { state, since_ms: since, sentence } = standing, old = since && !CALM.includes(state);
  const [known, unknown] = HEADLINES[state], title = old ? `${known} ${time(since)}` : unknown;
  const words = state === "live" ? `the newest record is ${span(now() - board.newest)} old` : sentence;
  text("headline", old ? `${title} (${span(now() - since)})` : title);
  text("why", `${words[0].toUpperCase()}${words.slice(1)}${/[?!]$/.test(words) ? "" : "."}${old ? " What is below was known then." : ""}`);
  if ($("state").dataset.state !== state) {
    $("state").dataset.state = state;
    $("said").textContent = `${title}. ${sentence}`;
  }
  document.title = state === "live" ? "Headrace" : `${title} · Headrace`;
}

function text(id, words) {
  if ($(id).textContent !== words) $(id).textContent = words;
}

function facts() {
  const rows = [...board.decisions.values()], acted = rows.filter((row) => row.action && !row.shadow);
  const open = acted.filter((row) => !row.outcome && !overdue(row)).length;
  const bad = acted.filter((row) => (row.outcome ? !["done", "skipped"].includes(row.outcome.status) : overdue(row))).length;
  const all = [
    ["services", board.services.size], ["actions", acted.length], ["under way", open], ["not done", bad],
    ["refusals", rows.filter(isRefusal).length], ["quarantine", board.quarantine.size],
  ];
  $("facts").replaceChildren(...all.map(([name, value]) => {
    const warn = (name === "not done" || name === "quarantine") && value > 0;
    return el("div", warn ? "warn" : "", el("dt", "", name), el("dd", "", String(value)));
  }));
}

function leftOut() {
  const out = board.left_out, parts = [];
  for (const name of ["decisions", "events", "builds", "quarantine"]) if (out[name]) parts.push(`${count(out[name], "older row")} of ${name} left out`);
  if (out.unreadable) parts.push(`${count(out.unreadable, "record")} of our own topics could not be read`);
  const minutes = Math.round(board.window / 60e3);
  text("left-out", [`The last ${count(minutes, "minute")}, read from Kafka by this page alone; it changes nothing.`, parts.join("; ")].filter(Boolean).join(" "));
}

function choose(name) {
  chosen = chosen === name ? "" : name;
  history.replaceState(null, "", chosen ? `#service=${encodeURIComponent(chosen)}` : location.pathname + location.search);
  chip();
  show();
}

function chip() {
  const button = $("chosen");
  button.hidden = !chosen;
  button.replaceChildren(chosen, el("span", "", " ×"));
  button.setAttribute("aria-label", `Show all services again, not only ${chosen}`);
}

function fromHash() {
  const found = /^#service=(.*)$/.exec(location.hash);
  try { chosen = found ? decodeURIComponent(found[1]) : ""; } catch { chosen = ""; }
  chip();
}

async function copy(button) {
  const words = button.dataset.copy;
  try {
    await navigator.clipboard.writeText(words);
  } catch { // not allowed on a page without TLS: the old way
    const area = el("textarea", "hidden");
    area.value = words;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const label = button.textContent;
  button.textContent = "copied";
  $("said").textContent = `Copied: ${words}`;
  setTimeout(() => { button.textContent = label; }, 1200);
}

function spans() {
  for (const [label, ms] of [["5 min", 300e3], ["15 min", 900e3], ["all", Infinity]]) {
    const input = el("input");
    Object.assign(input, { type: "radio", name: "span", checked: ms === Infinity });
    input.addEventListener("change", () => { view.spanMs = ms; draw(); });
    $("spans").append(el("label", "", input, el("span", "", label)));
  }
}

function begin() {
  fromHash();
  spans();
  text("zone", zone());
  addEventListener("hashchange", () => { fromHash(); show(); });
  for (const id of ["filter", "refusals"]) $(id).addEventListener("input", later);
  $("chosen").addEventListener("click", () => choose(chosen));
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button.id");
    if (button) copy(button);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && document.activeElement !== $("filter")) { event.preventDefault(); $("filter").focus(); }
    if (event.key === "Escape") { $("filter").value = ""; if (chosen) choose(chosen); else later(); }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { palette(); redraw(); });
  addEventListener("resize", draw);
  setInterval(() => { watch(); headline(); draw(); }, 1000);
  connect();
}

begin();
