// Serves the console from its sources, bundled anew at each load, and passes everything else on to a gateway:
//
//   node dev.js http://127.0.0.1:9900 [PORT]

import { createServer, request } from "node:http";
import { gunzipSync } from "node:zlib";
import { bundle, committed } from "./build.js";

const [admin = "http://127.0.0.1:9900", port = "9911"] = process.argv.slice(2);
const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript", css: "text/css", svg: "image/svg+xml" };

createServer(async (asked, answer) => {
  const path = asked.url.split("?")[0];
  if (path === "/") {
    answer.setHeader("Content-Type", TYPES.html);
    answer.setHeader("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'");
    const files = await bundle().catch(() => committed());
    return answer.end(files.get("index.html"));
  }
  if (path.startsWith("/assets/")) {
    const files = await bundle();
    const bytes = files.get(`${path.slice("/assets/".length)}.gz`);
    answer.setHeader("Content-Type", TYPES[path.split(".").pop()] ?? "text/plain");
    answer.statusCode = bytes ? 200 : 404;
    return answer.end(bytes && bytes[0] === 0x1f ? gunzipSync(bytes) : bytes);
  }
  pass(asked, answer);
}).listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${port} for ${admin}`));

/** The admin side refuses pages of other sites: to it this one is its own. */
function pass(asked, answer) {
  const { origin, ...headers } = asked.headers;
  headers.host = new URL(admin).host;
  if (origin) headers.origin = admin;
  const onward = request(new URL(asked.url, admin), { method: asked.method, headers }, (answered) => {
    answer.writeHead(answered.statusCode, answered.headers);
    answered.pipe(answer);
  });
  onward.on("error", () => answer.writeHead(502).end());
  answer.on("close", () => onward.destroy());
  asked.pipe(onward);
}
