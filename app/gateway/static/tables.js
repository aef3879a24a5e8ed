// The tables below the cards. A row is made once and again only when it changed; the newest come first.

import { board, overdue, sorted } from "./board.js";
import { about, bytes, count, deed, el, moment, phase, time, took } from "./words.js";

const FIRST = { decisions: 40, events: 15, builds: 15, quarantine: 10 };
const HEADS = {
  decisions: ["Time", "Service", "Action", "Why", "What came of it", "Explain"],
  events: ["Time", "Service", "Event", "About", "Who"],
  builds: ["Time", "Repository", "What came of it", "Id"],
  quarantine: ["Time", "Place", "What is wrong", "Record"],
};
const EMPTY = {
  decisions: ["Nothing was decided in this time. Policies in force: ", "headrace policy list"],
  events: ["No deploy and no change in this time. They come from the topic of events: ", "headrace send --help"],
  builds: ["No builds in this time. A push that GitHub sends to /webhooks/github becomes one.", ""],
  quarantine: ["Nothing in quarantine: all input of this time could be read.", ""],
};
const made = new WeakMap(), more = {};

export function showTable(name, keep, refresh) {
  const rows = sorted(board[name]).filter(keep), all = board[name].size;
  const most = more[name] || FIRST[name], shown = rows.slice(0, most);
  document.getElementById(`${name}-count`).textContent = rows.length === all ? String(all || "") : `${rows.length} of ${all}`;
  const box = document.getElementById(`${name}-rows`);
  if (!box.firstChild) {
    box.setAttribute("role", "table");
    box.setAttribute("aria-labelledby", `${name}-title`);
    box.append(el("div", `row head ${name}`, ...HEADS[name].map((text) => cell("", text, "columnheader"))));
    box.firstChild.setAttribute("role", "row");
  }
  const wanted = shown.map((row) => known(row) || remember(name, row));
  if (!rows.length) wanted.push(nothing(name, all));
  if (rows.length > shown.length) wanted.push(button(name, rows.length - shown.length, refresh));
  wanted.forEach((row, i) => {
    if (box.children[i + 1] !== row) box.insertBefore(row, box.children[i + 1] || null);
  });
  while (box.children.length > wanted.length + 1) box.lastChild.remove();
}

// A row reads differently once its action is overdue.
function known(row) {
  const line = made.get(row);
  return line && line.overdue === overdue(row) ? line.element : null;
}

function remember(name, row) {
  const line = el("div", `row ${name}`, ...CELLS[name](row));
  line.setAttribute("role", "row");
  made.set(row, { element: line, overdue: overdue(row) });
  return line;
}

function nothing(name, all) {
  const [words, command] = EMPTY[name];
  return el("p", "empty", ...(all ? ["Nothing here for this filter."] : [words, command && el("code", "", command)]));
}

function button(name, left, refresh) {
  const made = el("button", "more", `Show ${left} more`);
  made.type = "button";
  made.addEventListener("click", () => { more[name] = Infinity; refresh(); });
  return made;
}

function cell(classes, content, role = "cell") {
  const made = el("div", classes, ...[content].flat());
  made.setAttribute("role", role);
  return made;
}

function at(ms) {
  const made = el("time", "", time(ms));
  made.dateTime = new Date(ms).toISOString();
  made.title = moment(ms);
  return cell("time", made);
}

function outcome(row, asked) {
  const found = row.outcome;
  if (!found && overdue(row)) return cell("outcome", [el("span", "status expired", "no word"), " ", el("span", "detail", "is a worker running?")]);
  if (!found) return cell("outcome", asked ? el("span", "status waiting", "under way") : "");
  const words = [found.detail, found.attempts > 1 && count(found.attempts, "attempt"), found.took !== null && took(found.took)];
  const detail = el("span", "detail", words.filter(Boolean).join(" · "));
  detail.title = `${found.detail} (${found.worker}, ${moment(found.at)})`;
  return cell("outcome", [el("span", `status ${found.status}`, found.status), " ", detail]);
}

function copied(id, command, label) {
  const made = el("button", "id", label);
  made.type = "button";
  made.title = command;
  made.dataset.copy = command;
  made.setAttribute("aria-label", `Copy: ${command}`);
  return cell("explain", made);
}

function why(row) {
  const words = board.sentences[row.reason] || "";
  const numbers = row.reason === "TOLD" ? "" : row.numbers;
  return cell("why", [el("span", "reason", row.reason), " ", words, numbers && el("span", "numbers", ` ${numbers}`)]);
}

function link(row, text) {
  if (!/^https?:\/\//.test(row.link || "")) return text;
  const made = el("a", "", text);
  Object.assign(made, { href: row.link, rel: "noreferrer noopener", target: "_blank" });
  return made;
}

const CELLS = {
  decisions: (row) => [
    at(row.at), cell("service", row.service),
    cell(row.scale ? "action scale" : row.action ? "action" : "action none", [deed(row), row.shadow && el("span", "badge", "trial")].filter(Boolean)),
    why(row), outcome(row, row.action && !row.shadow), copied(row.id, `headrace explain ${row.id}`, "copy"),
  ],
  events: (row) => [
    at(row.at), cell("service", row.service === "*" ? "all" : row.service),
    cell("event", [el("i", `glyph ${row.kind === "deploy" ? "deploy" : "change"}`), link(row, phase(row)), row.environment && el("span", "badge", row.environment)].filter(Boolean)),
    cell("about", about(row) || ""), cell("who", row.who || ""),
  ],
  builds: (row) => [
    at(row.at), cell("service", [row.repo, row.branch && el("span", "numbers", ` ${row.branch}`), row.commit && el("span", "numbers", ` ${row.commit.slice(0, 10)}`)].filter(Boolean)),
    outcome(row, true), copied(row.id, row.id, "copy"),
  ],
  quarantine: (row) => [
    at(row.at), cell("place", row.place), cell("why", row.reason),
    cell("value", [el("code", "", row.value), el("span", "numbers", ` ${bytes(row.size)}`)]),
  ],
};
