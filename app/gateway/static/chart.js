// One service's chart: metrics on the left axis, replicas as steps on the right, marks for what happened.

import { board, marks, now, thin } from "./board.js";
import { about, el, number, phase, time } from "./words.js";

const GAP_S = 45, GAP_BEATS = 3; // no point for so long, and for so many of its usual intervals: the line is interrupted
const FINE_SPAN_S = 600; // of a longer stretch, seconds are narrower than a pixel
const NEAR_PX = 7;
const GLYPHS = { deploy: "◆", change: "●", up: "▲", down: "▼" };

export const view = { spanMs: Infinity };
let colours = null;

export function palette() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(name).trim();
  colours = { lines: [1, 2, 3, 4].map((n) => value(`--line-${n}`)), replicas: value("--replicas"), fill: value("--replicas-fill"),
    grid: value("--grid"), axis: value("--muted"), deploy: value("--deploy"), change: value("--change"),
    up: value("--ink-2"), down: value("--ink-2") };
  return colours;
}

export function colour(index) {
  return (colours || palette()).lines[index % 4];
}

// The stretch of time shown: all charts the same, so that one can be compared with another.
export function range() {
  const standing = board.standing.state === "live" || board.standing.state === "loading";
  const to = standing ? now() : board.newest || now();
  let first = to - 120e3;
  for (const one of board.services.values()) {
    for (const [times] of one.lines.values()) if (times.length) first = Math.min(first, times[0] * 1e3);
  }
  return [Math.max(to - Math.min(view.spanMs, board.window), first) / 1e3, to / 1e3];
}

export class Chart {
  constructor(box, name) {
    Object.assign(this, { box, name, plot: null, shape: "", marks: [], visible: false, drawn: "" });
  }

  update(one, span) {
    const state = `${one.version} ${this.box.clientWidth} ${Math.round(span[1])} ${span[0] | 0} ${marks(this.name, 0, Infinity).length}`;
    if (!this.visible || state === this.drawn || !this.box.clientWidth) return;
    this.drawn = state;
    const names = one.shown.filter((name) => one.lines.get(name)?.[0].length);
    const scales = scalesOf(names, one);
    const shape = JSON.stringify([names, scales, one.targets, this.box.clientWidth]);
    this.span = span;
    this.marks = marks(this.name, span[0] * 1e3, span[1] * 1e3);
    this.one = { ...one, names };
    const lines = names.map((name) => one.lines.get(name));
    const data = joined(span[1] - span[0] > FINE_SPAN_S ? lines.map((line) => thin(line, Infinity)) : lines, one.replicas, span);
    if (shape !== this.shape) {
      this.destroy();
      this.shape = shape;
      this.plot = new uPlot(this.options(names, scales, one), data, this.box);
    } else {
      this.plot.setData(data);
    }
  }

  destroy() {
    this.plot?.destroy();
    this.plot = null;
    this.shape = this.drawn = "";
  }

  options(names, scales, one) {
    const c = colours || palette();
    const font = "11px system-ui, sans-serif";
    const axis = { stroke: c.axis, font, ticks: { show: false }, grid: { stroke: c.grid, width: 1 } };
    const own = {};
    names.forEach((name, i) => { own[scales[i]] ||= { range: (_, __, max) => top(max, scales[i] === "y" ? limits(names, scales, one) : 0) }; });
    return {
      width: this.box.clientWidth, height: this.box.clientHeight, legend: { show: false }, padding: [14, 0, 0, 0],
      cursor: { drag: { x: false, y: false }, y: false, points: { size: 6 }, sync: { key: "time", setSeries: false } },
      scales: { x: { range: () => this.span }, y: {}, r: { range: (_, __, max) => [0, Math.max(2, Math.ceil((max || 1) * 1.25))] }, ...own },
      series: [{}, { scale: "r", stroke: c.replicas, fill: c.fill, width: 1.25, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } },
        ...names.map((name, i) => ({ scale: scales[i], stroke: colour(i), width: 1.5,
          points: { show: false, size: 4, fill: colour(i), filter: alone } }))],
      axes: [
        { ...axis, size: 26, gap: 8, space: 62, values: (_, at) => at.map((s) => (s % 60 ? time(s * 1e3) : time(s * 1e3).slice(0, 5))) },
        { ...axis, scale: "y", size: 38, gap: 4, space: 28, values: (_, at) => at.map(number) },
        { ...axis, scale: "r", side: 1, size: 26, gap: 4, space: 24, grid: { show: false }, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] },
      ],
      hooks: { draw: [(u) => this.drawMarks(u, names, scales, one)], setCursor: [(u) => this.tip(u)] },
    };
  }

  drawMarks(u, names, scales, one) {
    const { ctx } = u, { left, top: y0, width, height } = u.bbox, px = devicePixelRatio;
    ctx.save();
    names.forEach((name, i) => {
      if (!(name in one.targets)) return;
      const y = Math.round(u.valToPos(one.targets[name], scales[i], true));
      if (y < y0 || y > y0 + height) return;
      stroke(ctx, colour(i), 0.75, [5 * px, 4 * px], px, left, y, left + width, y);
    });
    ctx.font = `${10 * px}px system-ui, sans-serif`;
    ctx.textAlign = "center";
    let busy = -Infinity;
    for (const mark of this.marks) {
      const x = Math.round(u.valToPos(mark.at / 1e3, "x", true));
      const event = mark.kind === "deploy" || mark.kind === "change";
      stroke(ctx, colours[mark.kind], event ? (mark.row.service === "*" ? 0.4 : 0.9) : 0.45, event ? [] : [2 * px, 3 * px], px, x, y0, x, y0 + height);
      if (!event && x - busy < 8 * px) continue;
      ctx.fillStyle = colours[mark.kind];
      ctx.fillText(GLYPHS[mark.kind], x, y0 - 3 * px);
      busy = x;
    }
    ctx.restore();
  }

  tip(u) {
    const tip = document.getElementById("tip");
    if (!u.over.matches(":hover")) return;
    if (u.cursor.left === null || u.cursor.left < 0) { tip.hidden = true; return; }
    const at = u.posToVal(u.cursor.left, "x"), near = (u.posToVal(NEAR_PX, "x") - u.posToVal(0, "x")) * 1e3;
    const rows = [el("b", "", time(at * 1e3))];
    this.one.names.forEach((name, i) => {
      const value = valueAt(this.one.lines.get(name), at);
      if (value !== null) rows.push(tipRow(`key line-${i + 1}`, name, number(value)));
    });
    const replicas = stepAt(this.one.replicas, at);
    if (replicas !== null) rows.push(tipRow("key replicas", "replicas", String(replicas)));
    for (const mark of this.marks.filter((one) => Math.abs(one.at - at * 1e3) < near).slice(-5)) rows.push(el("p", `mark ${mark.kind}`, sentence(mark)));
    tip.replaceChildren(...rows);
    tip.hidden = false;
    const box = u.over.getBoundingClientRect(), x = box.left + u.cursor.left;
    tip.style.left = `${Math.max(4, x + 14 + tip.offsetWidth > innerWidth ? x - tip.offsetWidth - 14 : x + 14)}px`;
    tip.style.top = `${Math.min(box.top + 6, innerHeight - tip.offsetHeight - 4)}px`;
  }
}

export function sentence(mark) {
  const { row } = mark;
  if (row.scale) return `${GLYPHS[mark.kind]} ${time(row.at)} ${row.action}: ${row.reason}`;
  return `${GLYPHS[mark.kind]} ${time(row.at)} ${[phase(row), about(row), row.who && `by ${row.who}`].filter(Boolean).join(" ")}`;
}

function tipRow(classes, name, value) {
  return el("div", "", el("i", classes), el("span", "", name), el("span", "value", value));
}

function stroke(ctx, style, alpha, dash, width, x0, y0, x1, y1) {
  ctx.globalAlpha = alpha;
  ctx.strokeStyle = style;
  ctx.lineWidth = width;
  ctx.setLineDash(dash);
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
  ctx.globalAlpha = 1;
}

function top(max, least) {
  const most = Math.max(max ?? 0, least);
  return [0, most > 0 ? most * 1.12 : 1];
}

function limits(names, scales, one) {
  return Math.max(0, ...names.filter((name, i) => scales[i] === "y").map((name) => one.targets[name] || 0));
}

// A metric whose numbers are far from the first one's has a scale of its own, without an axis; the legend says so.
export function scalesOf(names, one) {
  const most = names.map((name) => Math.max(...one.lines.get(name)[1].map(Math.abs), one.targets[name] || 0));
  return names.map((_, i) => (i === 0 || (most[i] <= most[0] * 1.5 && most[i] >= most[0] / 5) ? "y" : `y${i}`));
}

function joined(lines, [changes, replicas], [from, to]) {
  const times = new Set([to]);
  if (changes.length) times.add(Math.max(from, changes[0]));
  for (const at of changes) if (at >= from && at <= to) times.add(at);
  const columns = lines.map(([at, values]) => {
    const column = new Map(), gap = Math.max(GAP_S, GAP_BEATS * beat(at));
    at.forEach((second, i) => {
      if (second < from || second > to) return;
      if (i && second - at[i - 1] > gap) { times.add(at[i - 1] + 1); column.set(at[i - 1] + 1, null); }
      times.add(second);
      column.set(second, values[i]);
    });
    return column;
  });
  const x = [...times].filter((at) => at >= from && at <= to).sort((a, b) => a - b);
  let i = -1;
  const steps = x.map((at) => {
    while (i + 1 < changes.length && changes[i + 1] <= at) i++;
    return i < 0 ? null : replicas[i];
  });
  return [x, steps, ...columns.map((column) => x.map((at) => column.get(at)))];
}

// The usual number of seconds between two points.
function beat(at) {
  const gaps = at.slice(-21).map((second, i, all) => (i ? second - all[i - 1] : 0)).slice(1).sort((a, b) => a - b);
  return gaps.length ? gaps[gaps.length >> 1] : 0;
}

// The points that no line leads to, which would not be seen.
function alone(u, series) {
  const data = u.data[series], there = [];
  for (let i = 0; i < data.length; i++) if (data[i] !== undefined) there.push(i);
  return there.filter((i, n) => data[i] !== null && (data[there[n - 1]] ?? null) === null && (data[there[n + 1]] ?? null) === null);
}

function valueAt([times, values], at) {
  let best = null, distance = GAP_S / 2;
  for (let i = times.length - 1; i >= 0; i--) {
    const off = Math.abs(times[i] - at);
    if (off < distance) { distance = off; best = values[i]; } else if (times[i] < at - distance) break;
  }
  return best;
}

function stepAt([times, values], at) {
  for (let i = times.length - 1; i >= 0; i--) if (times[i] <= at) return values[i];
  return null;
}
