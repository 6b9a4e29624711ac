// Numbers and times as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (value) => whole.format(value ?? 0);

/** `0.4`, `12.3`, `1,234`: about three digits. */
export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const digits = Math.abs(value) >= 100 || value === 0 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return new Intl.NumberFormat("en", { maximumFractionDigits: digits }).format(value);
}

/** Seconds: `85 µs`, `1.2 ms`, `3.4 s`. */
export function time(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.001) return `${short(seconds * 1e6)} µs`;
  if (seconds < 1) return `${short(seconds * 1e3)} ms`;
  return `${short(seconds)} s`;
}

export const milliseconds = (ms) => (ms === null || ms === undefined ? "–" : time(ms / 1000));

/** Bytes: `512 B`, `14.2 MiB`. */
export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${short(value)} ${units[at]}`;
}

/** A length of time in its two largest units: `45 s`, `2 h 5 min`. */
export function span(seconds) {
  const left = Math.max(0, Math.round(seconds));
  const parts = [
    [Math.floor(left / 86_400), "d"],
    [Math.floor(left / 3_600) % 24, "h"],
    [Math.floor(left / 60) % 60, "min"],
    [left % 60, "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return "0 s";
  const shown = parts.slice(first, first + 2).filter(([value]) => value > 0);
  return shown.map(([value, unit]) => `${value} ${unit}`).join(" ");
}

/** How long ago a moment of RFC 3339 was. */
export const ago = (text) => (text ? `${span((Date.now() - Date.parse(text)) / 1000)} ago` : "–");

/** The time of day, in the reader's zone. */
export const clock = (text) => new Date(text).toLocaleTimeString("en-GB");

/** `1 route`, `3 routes`. */
export const many = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
