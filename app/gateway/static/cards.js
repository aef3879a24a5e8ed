// The cards: one service each, with its chart. A card that is not on the screen is not drawn.

import { board, overdue } from "./board.js";
import { Chart, range, scalesOf } from "./chart.js";
import { count, deed, el, number, time } from "./words.js";

const MOST = 60;
const cards = new Map();

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const card = cards.get(entry.target.dataset.service);
    if (card) card.chart.visible = entry.isIntersecting;
  }
  draw();
}, { rootMargin: "200px" });

// Services that a policy looks at come first, then the others by name.
function ordered(filter) {
  const wanted = [...board.services.values()].filter((one) => one.name.toLowerCase().includes(filter));
  const rank = (one) => (Object.keys(one.targets).length ? 0 : 1);
  return wanted.sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
}

export function showCards(filter, chosen, choose) {
  const found = ordered(filter), shown = found.slice(0, MOST);
  const chosenOne = chosen && board.services.get(chosen);
  if (chosenOne && found.includes(chosenOne) && !shown.includes(chosenOne)) shown.unshift(chosenOne);
  const box = document.getElementById("cards"), names = new Set(shown.map((one) => one.name));
  for (const [name, card] of cards) {
    if (names.has(name)) continue;
    seen.unobserve(card.root);
    card.chart.destroy();
    card.root.remove();
    cards.delete(name);
  }
  const last = newest();
  shown.forEach((one, i) => {
    let card = cards.get(one.name);
    if (!card) cards.set(one.name, card = make(one.name, choose));
    if (box.children[i] !== card.root) box.insertBefore(card.root, box.children[i] || null);
    fill(card, one, last.get(one.name), one.name === chosen);
  });
  note(found.length, shown.length, filter);
  draw();
}

export function draw() {
  const span = range();
  for (const [name, card] of cards) {
    const one = board.services.get(name);
    if (one) card.chart.update(one, span);
  }
}

export function redraw() {
  for (const card of cards.values()) card.chart.destroy();
  draw();
}

function newest() {
  const found = new Map();
  for (const row of board.decisions.values()) {
    const before = found.get(row.service);
    if (row.reason !== "TOLD" && (!before || before.at < row.at)) found.set(row.service, row);
  }
  return found;
}

function make(name, choose) {
  const button = el("button", "name", name);
  button.type = "button";
  button.title = name;
  const root = el("article", "card"), chart = el("div", "chart"), legend = el("div", "legend"), size = el("span", "size"), last = el("p", "last");
  chart.setAttribute("role", "img");
  root.dataset.service = name;
  root.append(el("header", "", el("h3", "", button), size), legend, chart, last);
  root.addEventListener("click", () => choose(name));
  chart.addEventListener("pointerleave", () => { document.getElementById("tip").hidden = true; });
  seen.observe(root);
  return { root, button, legend, size, last, box: chart, chart: new Chart(chart, name), said: "" };
}

function fill(card, one, decision, chosen) {
  card.button.setAttribute("aria-pressed", String(chosen));
  card.root.classList.toggle("chosen", chosen);
  const said = JSON.stringify([one.version, decision?.id, decision?.outcome?.status, decision && overdue(decision)]);
  if (said === card.said) return;
  card.said = said;
  const replicas = one.wanted === null ? "" : one.ready === null ? count(one.wanted, "replica") : `${one.ready}/${one.wanted} ready`;
  const pauses = one.paused.filter((pause) => !pause.until || pause.until > Date.now() + board.skew);
  const paused = pauses.length ? el("span", "badge", "paused") : null;
  if (paused) paused.title = `Scaling paused ${pauses.map((pause) => pause.words).join("; ")}`;
  card.size.replaceChildren(...[paused, replicas && el("i", "key replicas"), replicas].filter(Boolean));
  card.size.classList.toggle("short", one.ready !== null && one.ready < one.wanted);
  card.legend.replaceChildren(...legend(one));
  card.last.replaceChildren(...lastLine(decision));
  card.box.setAttribute("aria-label", `${one.name}: ${card.legend.textContent || "no metric yet"}; ${replicas || "replicas not known"}`);
}

function legend(one) {
  const names = one.shown.filter((name) => one.lines.get(name)?.[0].length), scales = scalesOf(names, one);
  const items = names.map((name, i) => {
    const target = name in one.targets ? el("span", "target", ` / ${number(one.targets[name])}`) : null;
    if (target) target.title = "its target";
    const label = el("span", "metric", name), item = el("span", "", el("i", `key line-${i + 1}`), label, " ", el("b", "", number(one.lines.get(name)[1].at(-1))), target);
    item.title = scales[i] === "y" ? name : `${name} (drawn on a scale of its own)`;
    if (scales[i] !== "y") item.append(el("span", "target", " own scale"));
    return item;
  });
  if (one.more) items.push(el("span", "target", `+${one.more} more`));
  if (one.unheard) items.push(el("span", "target", "some instances left out"));
  if (!items.length) items.push(el("span", "target", "no metric yet"));
  return items;
}

function lastLine(row) {
  if (!row) return [el("span", "target", "nothing decided yet")];
  const words = deed(row);
  const status = row.action ? ` · ${row.outcome ? row.outcome.status : overdue(row) ? "no word" : "under way"}` : "";
  return [el("time", "", time(row.at)), " ", el("b", row.action ? "act" : "", words), ` ${row.reason}${status}`];
}

function note(found, shown, filter) {
  const empty = document.getElementById("no-services"), words = document.getElementById("services-note");
  empty.hidden = found > 0 || !board.loaded || board.standing.state === "loading";
  empty.replaceChildren(...(filter && board.services.size ? ["No service has this in its name."] : board.standing.state === "no_kafka"
    ? ["No services: no Kafka is set. ", el("code", "", "HEADRACE_KAFKA_URL"), " leads to one."]
    : ["No service has reported in this time. Send a sample: ", el("code", "", "headrace send web cpu=92 --host web-03")]));
  const parts = [];
  if (shown < found) parts.push(`${shown} of ${found} services are shown; filter to see the others.`);
  if (board.left_out.services) parts.push(`The board is full: ${board.left_out.services} records of further services were left out.`);
  if (board.left_out.samples) parts.push(`${board.left_out.samples} samples of further metrics are not drawn.`);
  words.textContent = parts.join(" ");
}
