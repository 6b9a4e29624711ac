// Bundles the console into `dist/`, which is committed so that `cargo build` needs no Node.
//
//   node build.js           writes dist/
//   node build.js --check   writes nothing; fails when dist/ is not what the sources make, or is too large
//
// Scripts and styles are stored compressed (the binary holds them so) and under a name with a hash of what they
// hold, so that a browser may keep them for ever. `dist/assets.in` is the table of them that tollgate-admin includes.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
/** All that a browser loads, compressed. */
export const BUNDLE_BYTES_MAX = 150 * 1024;

const TYPES = { js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8", svg: "image/svg+xml" };

/** The bundle: a map from the name of a file in `dist/` to its bytes, uncompressed ones of a `.gz`. */
export async function bundle() {
  const result = await esbuild.build({
    absWorkingDir: here,
    entryPoints: [{ in: "src/main.jsx", out: "console" }],
    outdir: "dist",
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: ["chrome123", "firefox120", "safari17.5"],
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    logLevel: "warning",
  });
  const files = new Map();
  const assets = result.outputFiles.map((file) => [file.path.split(".").pop(), Buffer.from(file.contents)]);
  assets.push(["svg", readFileSync(join(here, "src/mark.svg"))]);
  let page = readFileSync(join(here, "src/index.html"), "utf8");
  const rows = [];
  for (const [kind, bytes] of assets.sort(([a], [b]) => (a < b ? -1 : 1))) {
    const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
    const name = `console-${hash}.${kind}`;
    page = page.replaceAll(`console.${kind}`, `assets/${name}`);
    files.set(`${name}.gz`, bytes);
    rows.push(`    Asset { name: "${name}", kind: "${TYPES[kind]}", gzip: include_bytes!("${name}.gz") },\n`);
  }
  files.set("index.html", Buffer.from(page));
  files.set("assets.in", Buffer.from(`[\n${rows.join("")}]\n`));
  return files;
}

/** What `dist/` holds now, in the shape of `bundle`. */
export function committed() {
  const files = new Map();
  for (const name of existsSync(dist) ? readdirSync(dist).sort() : []) {
    const bytes = readFileSync(join(dist, name));
    files.set(name, name.endsWith(".gz") ? gunzipSync(bytes) : bytes);
  }
  return files;
}

/** Bytes that a browser loads, compressed. */
export function weight() {
  const loaded = readdirSync(dist).filter((name) => !name.endsWith(".in"));
  return loaded.reduce((sum, name) => {
    const bytes = readFileSync(join(dist, name));
    return sum + (name.endsWith(".gz") ? bytes.length : gzipSync(bytes).length);
  }, 0);
}

function write(files) {
  mkdirSync(dist, { recursive: true });
  // What names the others comes behind them, and what nobody names any more goes last: a build may be reading.
  for (const [name, bytes] of files) {
    writeFileSync(join(dist, name), name.endsWith(".gz") ? gzipSync(bytes, { level: 9 }) : bytes);
  }
  for (const name of readdirSync(dist).filter((name) => !files.has(name))) rmSync(join(dist, name));
}

/** Names of files that differ. Compressed bytes are not compared: they depend on the version of zlib. */
function stale(made, old) {
  const names = new Set([...made.keys(), ...old.keys()]);
  return [...names].filter((name) => !made.get(name)?.equals(old.get(name) ?? Buffer.alloc(0)));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const made = await bundle();
  if (process.argv.includes("--check")) {
    const names = stale(made, committed());
    if (names.length > 0) {
      console.error(`console/dist is stale (${names.join(", ")}): run \`cargo xtask console\``);
      process.exit(1);
    }
  } else if (stale(made, committed()).length > 0) {
    write(made);
  }
  const bytes = weight();
  console.log(`console: ${(bytes / 1024).toFixed(1)} KiB compressed, of ${BUNDLE_BYTES_MAX / 1024}`);
  if (bytes > BUNDLE_BYTES_MAX) {
    console.error("the console is too large");
    process.exit(1);
  }
}
