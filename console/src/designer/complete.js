// What can be written at the cursor: keys and values of the schema, and names that the text itself declares.

import { keys, values } from "./schema.js";

/** Options that are offered at once. */
const OPTIONS_MAX = 60;

/**
 * `{ from, options: [{ label, insert, about }] }`: what replaces the text from `from` to the cursor. `document` is what
 * the text said when it was last whole.
 */
export function complete(text, cursor, schema, document) {
  const place = where(text, cursor);
  if (!place) return null;
  const options = place.value ? valueOptions(schema, place, document) : keyOptions(schema, place);
  const word = place.word.toLowerCase();
  const fitting = options.filter(({ label }) => label.toLowerCase().startsWith(word) && label !== place.word);
  return fitting.length > 0 ? { from: cursor - place.word.length, options: fitting.slice(0, OPTIONS_MAX) } : null;
}

function keyOptions(schema, { path, indent, flow, present }) {
  return keys(schema, path)
    .filter(({ key }) => !present.has(key))
    .map(({ key, about, block, list }) => {
      const inner = " ".repeat(indent + 2);
      const tail = flow ? ": " : block ? `:\n${inner}` : list ? `:\n${inner}- ` : ": ";
      return { label: key, insert: `${key}${tail}`, about };
    });
}

function valueOptions(schema, { path }, document) {
  const told = values(schema, path).map((value) => ({ label: String(value), insert: String(value), about: "" }));
  const declared = names(path, document).map(([label, about]) => ({ label, insert: label, about }));
  return [...declared, ...told];
}

/** Names that may stand for a value: of upstreams, of issuers, of another part. */
function names(path, document) {
  const steps = path.filter((step) => typeof step === "string");
  const last = steps[steps.length - 1];
  const of = (block, about) => Object.keys(document?.[block] ?? {}).map((name) => [name, about]);
  if (last === "to" || last === "upstream" || (last === "upstreams" && steps.includes("health"))) return of("upstreams", "an upstream");
  if (last === "jwt") return of("issuers", "an issuer");
  return [];
}

/** Where the cursor is: the path of keys and indices, the word before it, whether a value stands there. */
export function where(text, cursor) {
  const before = text.slice(0, cursor);
  const lines = before.split("\n");
  const line = lines.pop();
  if (comment(line)) return null;
  const dashes = /^(\s*)((?:- +)*)/.exec(line);
  const indent = dashes[0].length;
  const rest = line.slice(indent);
  const block = above(lines, dashes[1].length, dashes[2]);
  const inside = flow(rest);
  if (inside) {
    const head = block.concat(inside.path);
    return { path: head, word: inside.word, value: inside.value, indent, flow: true, present: inside.present };
  }
  const pair = /^([\w.-]+):\s+(.*)$/.exec(rest);
  if (pair) return { path: [...block, pair[1]], word: pair[2], value: true, indent, flow: false, present: new Set() };
  if (!/^[\w.$-]*$/.test(rest)) return null;
  // A bare word behind a dash is a key of a map, or a value of a list: the schema tells.
  const present = siblings(text, lines.length, indent);
  return { path: block, word: rest, value: false, indent, flow: false, present };
}

/** The path of keys and lists that a line stands in, from the lines above it and its own dashes. */
function above(lines, spaces, dashes) {
  const stack = [];
  for (const line of lines) {
    const found = /^(\s*)((?:- +)*)(?:([\w.$~/{}*-]+|"[^"]*")\s*:(?:\s|$))?/.exec(line);
    if (comment(line) || line.trim() === "") continue;
    enter(stack, found[1].length, found[2]);
    if (found[3]) key(stack, found[1].length + found[2].length, found[3].replaceAll('"', ""));
  }
  enter(stack, spaces, dashes);
  leave(stack, (one) => one.column >= spaces + dashes.length);
  return stack.map((one) => one.step);
}

/** Each dash is an element of a list, whose key may stand as far left as the dash does. */
function enter(stack, spaces, dashes) {
  for (const { index } of dashes.matchAll(/-/g)) {
    const column = spaces + index;
    leave(stack, (one) => one.column > column || (one.column === column && one.step === 0));
    stack.push({ column, step: 0 });
  }
}

function key(stack, column, step) {
  leave(stack, (one) => one.column >= column);
  stack.push({ column, step });
}

function leave(stack, done) {
  while (stack.length > 0 && done(stack[stack.length - 1])) stack.pop();
}

/** Inside `{ … }` or `[ … ]` of the same line: the path from the line's key, the word, keys that are there. */
function flow(rest) {
  const stack = [];
  let start = 0;
  let quote = "";
  for (let at = 0; at < rest.length; at += 1) {
    const sign = rest[at];
    if (quote) quote = sign === quote ? "" : quote;
    else if (sign === '"' || sign === "'") quote = sign;
    else if (sign === "{" || sign === "[") {
      stack.push({ sign, key: /([\w.-]+):\s*$/.exec(rest.slice(start, at))?.[1], present: new Set() });
      start = at + 1;
    } else if (sign === "}" || sign === "]") {
      stack.pop();
      start = at + 1;
    } else if (sign === "," && stack.length > 0) {
      note(stack, rest.slice(start, at));
      start = at + 1;
    }
  }
  if (stack.length === 0 || quote) return null;
  const here = rest.slice(start).trimStart();
  const path = stack.flatMap(({ sign, key }) => [...(key ? [key] : []), ...(sign === "[" ? [0] : [])]);
  const pair = /^([\w.-]+):\s+(.*)$/.exec(here);
  const top = stack[stack.length - 1];
  if (pair) return { path: [...path, pair[1]], word: pair[2], value: true, present: new Set() };
  if (!/^[\w.-]*$/.test(here)) return null;
  return { path, word: here, value: top.sign === "[", present: top.present };
}

function note(stack, text) {
  const key = /^\s*([\w.-]+):/.exec(text)?.[1];
  if (key) stack[stack.length - 1].present.add(key);
}

/** Keys that stand in the same block as the line. */
function siblings(text, at, indent) {
  const lines = text.split("\n");
  const found = new Set();
  for (const step of [-1, 1]) {
    for (let near = at + (step > 0 ? 1 : 0); near >= 0 && near < lines.length; near += step) {
      if (near === at && step < 0) {
        if (/^\s*- /.test(lines[near])) break;
        continue;
      }
      const line = lines[near];
      if (line.trim() === "" || comment(line)) continue;
      const spaces = /^(\s*(?:- +)*)/.exec(line)[1];
      if (spaces.length < indent) break;
      const dash = spaces.includes("-");
      if (step > 0 && dash && spaces.length <= indent) break;
      if (spaces.length === indent) {
        const key = /^([\w.-]+):/.exec(line.slice(indent))?.[1];
        if (key) found.add(key);
        if (dash) break;
      }
    }
  }
  return found;
}

const comment = (line) => /^\s*#/.test(line) || /\s#[^"']*$/.test(line);
