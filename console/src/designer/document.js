// A configuration's text as a document: what it says, and edits that leave the rest of the text as it was.

import { LineCounter, isScalar, parseDocument, stringify } from "yaml";

/** A longer text is edited without forms and colours: each keystroke would be felt. */
export const TEXT_MAX = 300_000;

/** `{ doc, value, lines }`; `value` is null where the text is no YAML. */
export function read(text) {
  if (text.length > TEXT_MAX) return { doc: null, value: null, lines: null };
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, uniqueKeys: false });
  let value = null;
  try {
    // Aliases are bounded, as they are in the gateway.
    if (doc.errors.length === 0) value = doc.toJS({ maxAliasCount: 100 });
  } catch {
    value = null;
  }
  const isMap = value !== null && typeof value === "object" && !Array.isArray(value);
  return { doc, value: isMap ? value : null, lines };
}

/** The line, from 1, on which what is at `path` begins; null where there is nothing. */
export function lineOf({ doc, lines }, path) {
  const range = doc?.getIn(path, true)?.range;
  return range ? lines.linePos(range[0]).line : null;
}

/**
 * The text with `value` at `path`; `undefined` removes it, and what became empty above it. A scalar that replaces a
 * scalar is put into its place; everything else is written by the YAML library, which keeps comments.
 */
export function put(text, path, value) {
  const { doc } = read(text);
  if (!doc || doc.errors.length > 0) return text;
  const old = doc.getIn(path, true);
  if (value === undefined) {
    removed(doc, path);
  } else if (isScalar(old) && old.range && !old.anchor && !isObject(value) && !isObject(old.value)) {
    const written = stringify(value, { lineWidth: 0, defaultStringType: kind(old) }).trimEnd();
    // In a flow collection a comma or a bracket would end the value.
    const safe = /[,[\]{}]/.test(written) && !/^["']/.test(written) ? JSON.stringify(value) : written;
    if (!safe.includes("\n")) return text.slice(0, old.range[0]) + safe + text.slice(old.range[1]);
    doc.setIn(path, value);
  } else {
    doc.setIn(path, doc.createNode(value, { flow: isObject(value) && path.length > 2 }));
  }
  return merged(text, doc);
}

/** The text with `value` at the end of the list at `path`, which is made when there is none. */
export function append(text, path, value) {
  const { doc } = read(text);
  if (!doc || doc.errors.length > 0) return text;
  if (doc.contents === null) doc.contents = doc.createNode({});
  if (Array.isArray(doc.toJS()?.[path[0]]) || path.length > 1) doc.addIn(path, doc.createNode(value));
  else doc.setIn(path, doc.createNode([value]));
  return merged(text, doc);
}

/**
 * What the changed document comes to, with the lines that did not change as they were: the library writes spaces its own
 * way in all of them.
 */
function merged(text, doc) {
  const lines = (one) => one.toString({ lineWidth: 0 }).split("\n");
  const [old, before, after] = [text.split("\n"), lines(read(text).doc), lines(doc)];
  if (old.length !== before.length) return after.join("\n");
  let first = 0;
  while (first < before.length && first < after.length && before[first] === after[first]) first += 1;
  let last = 0;
  const shorter = Math.min(before.length, after.length) - first;
  while (last < shorter && before[before.length - 1 - last] === after[after.length - 1 - last]) last += 1;
  return [...old.slice(0, first), ...after.slice(first, after.length - last), ...old.slice(old.length - last)].join("\n");
}

function removed(doc, path) {
  if (!doc.hasIn(path)) return;
  doc.deleteIn(path);
  const above = path.slice(0, -1);
  // `auth: {}` would be another thing than no `auth`. Lists and their elements are left alone.
  const left = above.length > 2 ? doc.getIn(above) : null;
  if (left?.items?.length === 0 && typeof above[above.length - 1] === "string") removed(doc, above);
}

const isObject = (value) => value !== null && typeof value === "object";

const kind = (node) => (["QUOTE_DOUBLE", "QUOTE_SINGLE"].includes(node.type) && typeof node.value === "string" ? node.type : "PLAIN");
