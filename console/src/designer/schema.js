// The configuration's JSON Schema, and what it allows at a place.

import { getJson } from "../data/api.js";

let asked = null;

/** The schema of the gateway that runs; asked for once. */
export function schema() {
  asked ??= getJson("/api/v1/schema").catch((error) => {
    asked = null;
    throw error;
  });
  return asked;
}

/** The plain schemas that one stands for: references followed, choices opened. */
export function open(root, node, depth = 0) {
  if (!node || depth > 12) return [];
  if (node.$ref) return open(root, root.$defs[node.$ref.slice("#/$defs/".length)], depth + 1);
  if (node.anyOf) return node.anyOf.flatMap((one) => open(root, one, depth + 1));
  return [node];
}

/** The schemas that may stand at a path of keys and numbers. */
export function at(root, path) {
  let here = open(root, root);
  for (const step of path) {
    here = here.flatMap((node) => {
      if (typeof step === "number") return node.items ? open(root, node.items) : [];
      const named = node.properties?.[step];
      if (named) return open(root, named);
      return typeof node.additionalProperties === "object" ? open(root, node.additionalProperties) : [];
    });
  }
  return here;
}

/** Keys that may stand at a path: `[{ key, about, block }]`. */
export function keys(root, path) {
  const found = new Map();
  for (const node of at(root, path)) {
    for (const [key, value] of Object.entries(node.properties ?? {})) {
      if (found.has(key)) continue;
      const inside = open(root, value);
      const block = inside.length > 0 && inside.every((one) => one.type === "object");
      const list = inside.length > 0 && inside.every((one) => one.type === "array");
      found.set(key, { key, about: about(value), block, list });
    }
  }
  return [...found.values()];
}

/** Values that may stand at a path: of enumerations, constants and truth values. */
export function values(root, path) {
  const found = new Set();
  for (const node of at(root, path)) {
    if (node.const !== undefined) found.add(node.const);
    for (const one of node.enum ?? []) found.add(one);
    if (node.type === "boolean") [true, false].forEach((one) => found.add(one));
  }
  return [...found];
}

function about(node) {
  const text = node.description ?? "";
  return node.default === undefined ? text : `${text} Default: ${JSON.stringify(node.default)}.`;
}
