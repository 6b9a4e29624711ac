// Prometheus text as values, and what the console makes of two scrapes: rates, percentiles, shares.

/** `name{a="b"} 1` to a map from name to `[{ labels, value }]`. Labels may hold anything, quotes and braces too. */
export function parse(text) {
  const families = new Map();
  for (const line of text.split("\n")) {
    if (line === "" || line[0] === "#") continue;
    const open = line.indexOf("{");
    const space = line.indexOf(" ");
    if (open < 0 || (space >= 0 && space < open)) {
      add(families, line.slice(0, space), {}, line.slice(space + 1));
      continue;
    }
    const [labels, end] = readLabels(line, open + 1);
    add(families, line.slice(0, open), labels, line.slice(end + 1));
  }
  return families;
}

function add(families, name, labels, value) {
  const samples = families.get(name) ?? [];
  if (samples.length === 0) families.set(name, samples);
  samples.push({ labels, value: number(value.trim()) });
}

const number = (text) => (text === "+Inf" ? Infinity : Number(text.split(" ")[0]));

/** Labels from behind the brace, and where the closing one stands. */
function readLabels(line, at) {
  const labels = {};
  while (at < line.length && line[at] !== "}") {
    const equals = line.indexOf("=", at);
    if (equals < 0) break;
    const name = line.slice(at, equals).replace(/^[, ]+/, "");
    let value = "";
    at = equals + 2;
    for (; at < line.length && line[at] !== '"'; at += 1) {
      if (line[at] === "\\") {
        at += 1;
        value += line[at] === "n" ? "\n" : line[at];
      } else value += line[at];
    }
    labels[name] = value;
    at += 1;
  }
  return [labels, at];
}

/** The sum of a family's samples that fit. */
export function sum(families, name, fits = () => true) {
  return (families.get(name) ?? []).reduce((all, one) => (fits(one.labels) ? all + one.value : all), 0);
}

/** A family's samples by one label. */
export function by(families, name, label) {
  const sums = {};
  for (const { labels, value } of families.get(name) ?? []) {
    sums[labels[label]] = (sums[labels[label]] ?? 0) + value;
  }
  return sums;
}

/** A histogram as `[upper bound, count up to it]`, all of its rows that fit put together, ordered by bound. */
export function buckets(families, name, fits = () => true) {
  const counts = new Map();
  for (const { labels, value } of families.get(`${name}_bucket`) ?? []) {
    if (!fits(labels)) continue;
    const bound = number(labels.le);
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return [...counts].sort(([a], [b]) => a - b);
}

/** What came between two readings of a histogram. */
export function since(now, before) {
  const old = new Map(before);
  return now.map(([bound, count]) => [bound, Math.max(0, count - (old.get(bound) ?? 0))]);
}

/** The value below which a share of what was counted lies, evenly spread within its bucket; null without any. */
export function quantile(rows, share) {
  const total = rows.length ? rows[rows.length - 1][1] : 0;
  if (total <= 0) return null;
  const rank = share * total;
  let [lower, below] = [0, 0];
  for (const [bound, count] of rows) {
    if (count >= rank) {
      if (bound === Infinity) return lower;
      const inside = count - below;
      return inside <= 0 ? bound : lower + ((bound - lower) * (rank - below)) / inside;
    }
    [lower, below] = [bound, count];
  }
  return lower;
}
