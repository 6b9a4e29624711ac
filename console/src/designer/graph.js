// The parts of an aggregate as a graph: which needs an answer of which, and where each is drawn.

export const NODE = { width: 186, height: 58, gapX: 56, gapY: 18 };

/** Members of a part whose placeholders may name other parts. */
const REFERRING = ["path", "for_each", "json", "method", "headers"];

/** Names of other parts that a part refers to, in the order in which they are declared. */
export function references(part, names) {
  const text = JSON.stringify(REFERRING.map((member) => part[member] ?? null));
  const heads = new Set([...text.matchAll(/\{([A-Za-z_][\w-]*)(?:[.[][^{}]*)?\}/g)].map(([, head]) => head));
  return names.filter((name) => name !== part.name && heads.has(name));
}

/**
 * `{ nodes, edges, width, height }`. A part stands right of every part that it refers to; parts without references
 * stand in the first column after the request and run at once. A loop, which the gateway refuses, is cut. An edge is
 * `{ from, to, via }`: the places that it passes through on its way over columns in between.
 */
export function layout(aggregate) {
  const parts = (Array.isArray(aggregate?.parts) ? aggregate.parts : []).filter((part) => part && typeof part === "object");
  const names = parts.map((part) => part.name).filter((name) => typeof name === "string");
  const needs = parts.map((part) => references(part, names));
  const used = new Set(needs.flat());
  const found = depths(needs, names);
  const deepest = Math.max(0, ...found);
  // The first column is the request's own. Whose answer goes straight to the end keeps a place free in those that follow.
  const columns = Array.from({ length: 1 + deepest }, (_, column) => [
    ...parts.flatMap((_, at) => (found[at] === column ? [{ at }] : [])),
    ...parts.flatMap((part, at) => (found[at] < column && !used.has(part.name) ? [{ at, passes: true }] : [])),
  ]);
  const step = NODE.height + NODE.gapY;
  const height = Math.max(1, ...columns.map((column) => column.length)) * step - NODE.gapY;
  const place = (column, row, rows) => ({ x: column * (NODE.width + NODE.gapX), y: (height - (rows * step - NODE.gapY)) / 2 + row * step });
  const nodes = [{ id: "request", kind: "end", title: "request", text: "the client's", ...place(0, 0, 1) }];
  const passed = parts.map(() => []);
  columns.forEach((column, index) =>
    column.forEach(({ at, passes }, row) => {
      const spot = place(index, row, column.length);
      if (passes) passed[at].push(spot);
      else nodes.push({ id: `part-${at}`, kind: "part", index: at, ...describe(parts[at], at), ...spot });
    }),
  );
  nodes.push({ id: "answer", kind: "end", title: "answer", text: aggregate?.render ? "a page" : `${aggregate?.merge ?? "shallow"} merge`, ...place(deepest + 1, 0, 1) });
  const width = (deepest + 1) * (NODE.width + NODE.gapX) + NODE.width;
  return { nodes, edges: edges(parts, names, needs, used, passed), width, height };
}

/** The column of each part. */
function depths(needs, names) {
  const known = new Map();
  const depth = (at, path) => {
    if (path.includes(at)) return 1;
    if (!known.has(at)) {
      const inner = needs[at].map((name) => depth(names.indexOf(name), [...path, at]));
      known.set(at, 1 + Math.max(0, ...inner));
    }
    return known.get(at);
  };
  return needs.map((_, at) => depth(at, []));
}

function edges(parts, names, needs, used, passed) {
  return parts.flatMap((part, at) => {
    const to = `part-${at}`;
    const from = needs[at].length === 0 ? ["request"] : needs[at].map((name) => `part-${names.indexOf(name)}`);
    const here = from.map((one) => ({ from: one, to, via: [] }));
    // Every part is in the answer; a line from one that others need would only hide theirs.
    return used.has(part.name) ? here : [...here, { from: to, to: "answer", via: passed[at] }];
  });
}

function describe(part, index) {
  const marks = [
    part.required === true ? "required" : "",
    part.for_each ? "for each" : "",
    part.each_target === true ? "each target" : "",
    part.if ? "conditional" : "",
  ].filter(Boolean);
  const title = typeof part.name === "string" ? part.name : `part ${index + 1}`;
  const text = part.to ? `${part.to} ${part.path ?? ""}` : "constant";
  return { title, text, marks: marks.join(", ") };
}
