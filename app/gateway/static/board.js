// What the page knows: the board of the gateway, kept up to date by `take`. No DOM here.
// Every update is a set of upserts by id and by second, so that one which comes twice changes nothing.

export const TABLES = { decisions: 500, events: 300, builds: 300, quarantine: 100 };
const FINE_S = 300, THIN_FROM = 900;
export const COARSE_S = 10;

export const board = {
  n: 0, newest: 0, window: 30 * 60e3, skew: 0, standing: { state: "loading", since_ms: 0, sentence: "" },
  services: new Map(), left_out: {}, sentences: {}, loaded: false,
  decisions: new Map(), events: new Map(), builds: new Map(), quarantine: new Map(),
};

export function take(update) {
  if (update.full) {
    board.services.clear();
    for (const name of Object.keys(TABLES)) board[name].clear();
    board.sentences = update.sentences;
  }
  Object.assign(board, { n: update.n, newest: update.newest, window: update.window, standing: update.standing,
    left_out: update.left_out, skew: update.at - Date.now(), loaded: true });
  for (const head of update.services) service(head);
  for (const name of Object.keys(TABLES)) {
    for (const row of update[name]) board[name].set(row.id, row);
  }
  forget();
}

function service(head) {
  const known = board.services.get(head.name) || { lines: new Map(), replicas: [[], []], version: 0 };
  for (const [name, points] of Object.entries(head.lines)) {
    const line = known.lines.get(name) || [[], []];
    known.lines.set(name, merge(line, points));
  }
  for (const name of known.lines.keys()) if (!head.shown.includes(name)) known.lines.delete(name);
  known.replicas = merge(known.replicas, head.replicas);
  const { lines, replicas, ...rest } = head;
  Object.assign(known, rest, { version: known.version + 1 });
  board.services.set(head.name, known);
}

function merge([times, values], [newTimes, newValues]) {
  if (!newTimes.length) return [times, values];
  let from = times.length;
  while (from > 0 && times[from - 1] >= newTimes[0]) from--;
  const line = [times.slice(0, from).concat(newTimes), values.slice(0, from).concat(newValues)];
  return line[0].length > THIN_FROM ? thin(line) : line;
}

// Points before a second, ten seconds in one: their mean, at the last of them.
export function thin([times, values], before = times[times.length - 1] - FINE_S) {
  const result = [[], []];
  for (let i = 0; i < times.length;) {
    let sum = values[i], j = i + 1;
    const group = Math.floor(times[i] / COARSE_S);
    if (times[i] < before) for (; j < times.length && Math.floor(times[j] / COARSE_S) === group; j++) sum += values[j];
    result[0].push(times[j - 1]);
    result[1].push(sum / (j - i));
    i = j;
  }
  return result;
}

function forget() {
  const from = (board.newest - board.window) / 1000;
  for (const [name, one] of board.services) {
    for (const [metric, [times, values]] of one.lines) {
      const first = times.findIndex((at) => at >= from);
      if (first > 60 || first < 0) one.lines.set(metric, first < 0 ? [[], []] : [times.slice(first), values.slice(first)]);
    }
    const last = Math.max(...[...one.lines.values()].map(([times]) => times.at(-1) || 0), one.heard / 1000);
    if (last < from) board.services.delete(name);
  }
  for (const [name, most] of Object.entries(TABLES)) {
    const rows = board[name];
    if (rows.size > most) board[name] = new Map(sorted(rows).slice(0, most).map((row) => [row.id, row]));
    for (const row of board[name].values()) if (row.at < from * 1000) board[name].delete(row.id);
  }
}

export function sorted(rows) {
  return [...rows.values()].sort((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1));
}

export function now() {
  return Date.now() + board.skew;
}

// Whether an action has had no outcome in its time: nobody seems to do it.
export function overdue(row) {
  return Boolean(row.expires && !row.outcome && !row.shadow && row.expires < now());
}

export function marks(name, from, to) {
  const found = [];
  for (const row of board.events.values()) {
    if ((row.service === name || row.service === "*") && row.at >= from && row.at <= to && !row.phase.startsWith("pod_")) {
      found.push({ at: row.at, kind: row.kind === "deploy" ? "deploy" : "change", row });
    }
  }
  for (const row of board.decisions.values()) {
    if (row.service === name && row.scale && !row.shadow && row.at >= from && row.at <= to) {
      found.push({ at: row.at, kind: row.scale[1] > row.scale[0] ? "up" : "down", row });
    }
  }
  return found.sort((a, b) => a.at - b.at);
}
