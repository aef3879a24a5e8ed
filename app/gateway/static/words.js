// How times, numbers and rows read. Every text goes into the page as text, never as markup.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

export function time(ms) {
  return clock.format(ms);
}

export function moment(ms) {
  return whole.format(ms);
}

export function zone() {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const offset = -new Date().getTimezoneOffset();
  const sign = offset < 0 ? "−" : "+", hours = Math.floor(Math.abs(offset) / 60), minutes = Math.abs(offset) % 60;
  const utc = offset === 0 ? "UTC" : `UTC${sign}${hours}${minutes ? `:${String(minutes).padStart(2, "0")}` : ""}`;
  return name === "UTC" ? "Times in UTC" : `Times in ${name} (${utc})`;
}

export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min${s < 600 && s % 60 ? ` ${s % 60} s` : ""}`;
  return `${Math.floor(s / 3600)} h${s % 3600 >= 60 ? ` ${Math.floor((s % 3600) / 60)} min` : ""}`;
}

export function took(ms) {
  return ms < 1000 ? `${ms} ms` : ms < 10000 ? `${(ms / 1000).toFixed(1)} s` : span(ms);
}

export function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
  return String(size >= 100 ? Math.round(value) : +value.toPrecision(3));
}

export function bytes(size) {
  return size < 1000 ? `${size} B` : size < 1e6 ? `${+(size / 1e3).toPrecision(2)} kB` : `${+(size / 1e6).toPrecision(2)} MB`;
}

export function count(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}

export function el(tag, classes = "", ...children) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

const PHASES = {
  started: "deploy started", finished: "deployed", failed: "deploy failed", rolled_back: "rolled back",
  pod_started: "pod started", pod_stopped: "pod stopped", removed: "removed", config_changed: "setting changed",
  flag_changed: "flag changed", infrastructure_changed: "infrastructure changed", pause: "scaling paused",
  resume: "scaling resumed", silence: "alerts silenced", unsilence: "alerts told again", policies: "new policies", changed: "changed",
};

export function phase(row) {
  return PHASES[row.phase] || row.phase;
}

// What an event was about, in one line.
export function about(row) {
  if (row.kind !== "deploy") return row.what;
  const words = [row.version && (row.previous ? `${row.previous} → ${row.version}` : row.version), row.pod,
    row.commit && `commit ${row.commit.slice(0, 8)}`, row.team && `team ${row.team}`];
  return words.filter(Boolean).join(" · ");
}

// A decision without an action: how an alert or a deploy stands is no refusal.
const STATES = /^(ALERT_|ROLLOUT_|DEPLOY_FAILED|ROLLBACK_(DONE|FAILED|UNANSWERED))/;
export const isRefusal = (row) => !row.action && !STATES.test(row.reason);
export const deed = (row) => row.action || (isRefusal(row) ? "refused" : row.reason.startsWith("ALERT_") ? "alert" : "verdict");
