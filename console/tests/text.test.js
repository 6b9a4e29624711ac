// What the designer makes of text, without a browser: places, completions, edits, graphs; and metrics read as numbers.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse, quantile, since, sum } from "../src/data/metrics.js";
import { colour } from "../src/designer/colour.js";
import { complete, where } from "../src/designer/complete.js";
import { append, put } from "../src/designer/document.js";
import { meant, shown } from "../src/designer/fields.js";
import { layout, references } from "../src/designer/graph.js";

const here = dirname(fileURLToPath(import.meta.url));
const SCHEMA = JSON.parse(readFileSync(join(here, "../../docs/reference/tollgate.schema.json"), "utf8"));

/** The text with the cursor where `|` stands. */
const cursor = (marked) => [marked.replace("|", ""), marked.indexOf("|")];

test("the place of the cursor is known from what stands above it", () => {
  for (const [marked, path, word, value] of [
    ["ro|", [], "ro", false],
    ["routes:\n  - na|", ["routes", 0], "na", false],
    ["routes:\n- na|", ["routes", 0], "na", false],
    ["routes:\n  - name: a\n    pa|", ["routes", 0], "pa", false],
    ["routes:\n  - name: a\n    auth:\n      jw|", ["routes", 0, "auth"], "jw", false],
    ["routes:\n  - name: a\n    auth:\n      jwt: x\n    t|", ["routes", 0], "t", false],
    ["routes:\n  - name: a\n\n  # no: thing\n  - na|", ["routes", 0], "na", false],
    ["upstreams:\n  orders:\n    bal|", ["upstreams", "orders"], "bal", false],
    ["upstreams:\n  orders:\n    balance: ro|", ["upstreams", "orders", "balance"], "ro", true],
    ["routes:\n  - auth: { jwt: ma|", ["routes", 0, "auth", "jwt"], "ma", true],
    ["routes:\n  - auth: { jwt: main, re|", ["routes", 0, "auth"], "re", false],
    ["routes:\n  - { path: /x, respond: { st|", ["routes", 0, "respond"], "st", false],
    ["routes:\n  - health: { upstreams: [a, b|", ["routes", 0, "health", "upstreams", 0], "b", true],
    ["routes:\n  - aggregate:\n      parts:\n        - name: a\n          to: x|", ["routes", 0, "aggregate", "parts", 0, "to"], "x", true],
  ]) {
    const found = where(...cursor(marked));
    assert.deepEqual([found?.path, found?.word, found?.value], [path, word, value], marked);
  }
  for (const marked of ["# rou|", "routes:\n  - path: /x # pa|", "routes:\n  - a b c|"]) assert.equal(where(...cursor(marked)), null, marked);
});

test("what is offered fits the place and is not there already", () => {
  const document = { upstreams: { orders: {}, telemetry: {} }, issuers: { main: {} } };
  const offered = (marked) => (complete(...cursor(marked), SCHEMA, document)?.options ?? []).map(({ label }) => label);
  for (const [marked, expected] of [
    ["up|", ["upstreams"]],
    ["upstreams:\n  a:\n    bal|", ["balance"]],
    ["upstreams:\n  a:\n    balance: r|", ["round_robin", "random"]],
    ["routes:\n  - to: t|", ["telemetry"]],
    ["routes:\n  - auth: { jwt: |", ["main"]],
    ["routes:\n  - auth: { basic: |", ["true", "false"]],
    ["routes:\n  - path: /a\n    pat|", []],
    ["routes:\n  - pat|\n    path: /a", []],
    ["routes:\n  - path: /a\n  - pat|", ["path"]],
    ["routes:\n  - auth: { basic: true, bas|", []],
    ["routes:\n  - nothing_such|", []],
  ]) assert.deepEqual(offered(marked), expected, marked);
  assert.equal(complete(...cursor("upstr|"), SCHEMA, {}).options[0].insert, "upstreams:\n  ");
  assert.equal(complete(...cursor("lim|"), SCHEMA, {}).options[0].insert, "limits:\n  ");
});

test("an edit changes its place and nothing else", () => {
  const text = "# top\nroutes:\n  - name: a # first\n    path: '/a'\n    auth: { jwt: main }\n  - name: b\n    path: /b\n";
  for (const [path, value, expected] of [
    [["routes", 0, "name"], "c", text.replace("name: a #", "name: c #")],
    [["routes", 0, "path"], "/x", text.replace("'/a'", "'/x'")],
    [["routes", 0, "auth", "jwt"], "a, b", text.replace("main", "\"a, b\"")],
    [["routes", 1, "timeout"], "3s", `${text}    timeout: 3s\n`],
    [["routes", 1, "request", "rewrite"], "/{id}", `${text}    request:\n      rewrite: /{id}\n`],
    [["routes", 0, "auth", "jwt"], undefined, text.replace("    auth: { jwt: main }\n", "")],
    [["routes", 0, "nothing", "here"], undefined, text],
    [["routes", 1], undefined, text.slice(0, text.indexOf("  - name: b"))],
    [["upstreams", "new"], { targets: ["http://h:1"] }, `${text}upstreams:\n  new:\n    targets:\n      - http://h:1\n`],
  ]) assert.equal(put(text, path, value), expected, JSON.stringify(path));
  const spaced = "a: [x,y]   # spaces\nroutes:\n    - {path: /}\n";
  assert.equal(put(spaced, ["b"], "c"), `${spaced}b: c\n`, "spaces elsewhere stay");
  assert.equal(put("a: [", ["b"], 1), "a: [", "what is no YAML is left alone");
  assert.equal(append("", ["routes"], { path: "/" }), "routes:\n  - path: /\n");
  assert.ok(append(text, ["routes"], { path: "/" }).endsWith("  - name: b\n    path: /b\n  - path: /\n"));
});

test("a field shows what it can and says when only the text can", () => {
  for (const [kind, value, expected] of [
    ["text", undefined, ""],
    ["text", 5, "5"],
    ["text", ["a"], null],
    ["text", { a: 1 }, null],
    ["list", ["GET", "POST"], "GET, POST"],
    ["list", "main", "main"],
    ["lines", [{ url: "x" }], null],
    ["switch", "${X}", null],
  ]) assert.equal(shown(kind, value), expected, JSON.stringify(value));
  for (const [kind, text, expected] of [
    ["text", "  ", undefined],
    ["text", "20", 20],
    ["text", "20s", "20s"],
    ["list", "a, b,", ["a", "b"]],
    ["lines", "a\n\nb", ["a", "b"]],
    ["switch", false, undefined],
  ]) assert.deepEqual(meant(kind, text), expected, text);
});

test("parts stand behind what they need, and a loop ends", () => {
  const parts = [
    { name: "vehicle", to: "t", path: "/vehicles/{id}" },
    { name: "driver", to: "p", path: "/drivers/{vehicle.driver_id}" },
    { name: "stops", to: "t", for_each: "{vehicle.stop_ids}", path: "/stops/{item}" },
    { name: "constants", json: { a: 1 } },
  ];
  assert.deepEqual(references(parts[2], parts.map((part) => part.name)), ["vehicle"]);
  const { nodes, edges, width, height } = layout({ parts });
  const x = Object.fromEntries(nodes.map((node) => [node.title, node.x]));
  assert.ok(x.request < x.vehicle && x.vehicle < x.driver && x.driver < x.answer && x.constants === x.vehicle);
  assert.deepEqual(edges.map(({ from, to }) => [from, to]), [["request", "part-0"], ["part-0", "part-1"], ["part-1", "answer"], ["part-0", "part-2"], ["part-2", "answer"], ["request", "part-3"], ["part-3", "answer"]]);
  assert.ok(width > 0 && height > 0);
  assert.equal(edges.find(({ from }) => from === "part-3").via.length, 1, "it passes the second column");
  const loop = [{ name: "a", path: "/{b.x}" }, { name: "b", path: "/{a.x}" }];
  for (const aggregate of [{ parts: loop }, {}, { parts: [null, 3] }, { parts: "x" }]) {
    const laid = layout(aggregate);
    assert.ok(laid.nodes.every((node) => Number.isFinite(node.x) && Number.isFinite(node.y)), JSON.stringify(aggregate));
  }
});

test("colours never lose a letter", () => {
  const lines = ["", "  - { path: /a/{id}, x: \"a: b\" } # remark", "key: ${NAME:-x}", "a: 'it''s'", "- - x", "\"open", "{[}]::,,", "\ttab: 10MiB"];
  for (const line of lines) assert.equal(colour(line).map(({ text }) => text).join(""), line);
});

test("metrics are numbers with labels, and histograms have percentiles", () => {
  const families = parse('# HELP a\na{x="1",y="q\\"}\\\\"} 2\na{x="2",y=""} 3\nb 4.5\nh_bucket{le="0.1"} 5\nh_bucket{le="+Inf"} 10\n');
  assert.deepEqual(families.get("a")[0], { labels: { x: "1", y: 'q"}\\' }, value: 2 });
  assert.equal(sum(families, "a"), 5);
  assert.equal(sum(families, "a", (labels) => labels.x === "2"), 3);
  assert.equal(sum(families, "b"), 4.5);
  const rows = [[0.1, 50], [0.2, 100], [Infinity, 100]];
  assert.equal(quantile(rows, 0.5), 0.1);
  assert.ok(Math.abs(quantile(rows, 0.75) - 0.15) < 1e-9);
  assert.equal(quantile([[0.1, 0], [Infinity, 4]], 0.5), 0.1, "beyond the last bound only the bound is known");
  assert.equal(quantile([], 0.5), null);
  assert.equal(quantile(since(rows, rows), 0.5), null);
});
