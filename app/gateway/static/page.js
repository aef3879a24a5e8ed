// The incident page: loads the board, follows it live, and draws what changed. It only reads.

import { board, now, take } from "./board.js";
import { palette, view } from "./chart.js";
import { draw, redraw, showCards } from "./cards.js";
import { showTable } from "./tables.js";
import { count, el, span, time, zone } from "./words.js";

const $ = (id) => document.getElementById(id);
const RETRY_MS = 3000;
let chosen = "", source = null, lostSince = 0, queued = false;

async function connect() {
  try {
    const answer = await fetch(`api/board?since=${board.n}`, { cache: "no-store" });
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
    lost();
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_MS);
  };
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
  showTable("decisions", (row) => mine(row) && (refusals || row.action) && has(row), later);
  showTable("events", (row) => mine(row) && has(row), later);
  showTable("builds", (row) => (!chosen || row.repo.includes(chosen)) && has(row), later);
  showTable("quarantine", (row) => (!chosen || row.value.includes(chosen)) && has(row), later);
  leftOut();
}

const HEADLINES = {
  live: () => ["Live", ""],
  loading: () => ["Reading the past", ""],
  no_kafka: () => ["The queue alone", ""],
  kafka_away: (at) => [`Old since ${at}`, "What is below was known then."],
  no_topics: () => ["No topics", ""],
  silent: (at) => [`Standing still since ${at}`, "What is below was known then."],
  lost: (at) => [`Old since ${at}`, "What is below was known then; the page tries again by itself."],
};

function headline() {
  const standing = lostSince && board.loaded ? { state: "lost", since_ms: lostSince, sentence: "the gateway does not answer" } : board.standing;
  const state = lostSince && !board.loaded ? "lost" : standing.state;
  let [title, more] = HEADLINES[state](standing.since_ms ? time(standing.since_ms) : "the start");
  if (state === "lost" && !board.loaded) [title, more] = ["No answer", "The gateway does not answer; the page tries again by itself."];
  if (!board.loaded && state !== "lost") title = "Connecting";
  const old = standing.since_ms && state !== "live" && state !== "loading" ? ` (${span(now() - standing.since_ms)})` : "";
  let words = standing.sentence ? `${standing.sentence[0].toUpperCase()}${standing.sentence.slice(1)}.` : "";
  if (state === "live") words = board.newest ? `The newest record is ${span(now() - board.newest)} old.` : "";
  if (state === "lost" && !board.loaded) words = "";
  text("headline", title + old);
  text("why", [words.replace(/([?!])\.$/, "$1"), more].filter(Boolean).join(" "));
  $("state").dataset.state = state;
  document.title = state === "live" ? "Headrace" : `${title} · Headrace`;
}

function text(id, words) {
  if ($(id).textContent !== words) $(id).textContent = words;
}

function facts() {
  const rows = [...board.decisions.values()], acted = rows.filter((row) => row.action && !row.shadow);
  const open = acted.filter((row) => !row.outcome).length;
  const bad = acted.filter((row) => row.outcome && !["done", "skipped"].includes(row.outcome.status)).length;
  const all = [
    ["services", board.services.size], ["actions", acted.length], ["under way", open], ["not done", bad],
    ["refusals", rows.filter((row) => !row.action).length], ["quarantine", board.quarantine.size],
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
    if (event.key === "/" && document.activeElement !== $("filter")) { event.preventDefault(); $("filter").focus(); }
    if (event.key === "Escape") { $("filter").value = ""; if (chosen) choose(chosen); else later(); }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { palette(); redraw(); });
  addEventListener("resize", draw);
  setInterval(() => { headline(); draw(); }, 1000);
  connect();
}

begin();
