// A gateway with services behind it and traffic through it, all in this process but the gateway itself.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { createServer as createPort } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
/** The gateway that is tried. */
export const BINARY = process.env.TOLLGATE ?? join(here, "../../target/debug/tollgate");
/** How long the gateway may take to begin. */
const READY_MS = 20_000;
/** Between two requests of the traffic. */
const PACE_MS = 12;

export const TOKEN = "token-of-the-console-test";

/** Starts everything: `{ admin, public, file, log(), stop() }`. `change` makes another text of the configuration. */
export async function start({ token = TOKEN, change = (text) => text } = {}) {
  const origins = [await origin(), await origin()];
  const [listen, admin] = [await free(), await free()];
  const folder = mkdtempSync(join(tmpdir(), "tollgate-console-"));
  const file = join(folder, "tollgate.yaml");
  const names = { LISTEN: `127.0.0.1:${listen}`, ADMIN: `127.0.0.1:${admin}`, TOKEN: token, ORIGIN: origins[0].url, OTHER: origins[1].url };
  const text = readFileSync(join(here, "gateway.yaml"), "utf8").replace(/@(\w+)@/g, (_, name) => names[name]);
  writeFileSync(file, change(text));
  const child = spawn(BINARY, ["run", "-c", file], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  child.stderr.on("data", (bytes) => (log += bytes));
  const ended = new Promise((done) => child.once("exit", done));
  const gateway = {
    admin: `http://127.0.0.1:${admin}`,
    public: `http://127.0.0.1:${listen}`,
    file,
    log: () => log,
    async stop() {
      child.kill("SIGKILL");
      await ended;
      origins.forEach((one) => one.stop());
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await ready(gateway, child);
  return gateway;
}

async function ready(gateway, child) {
  const until = Date.now() + READY_MS;
  while (Date.now() < until) {
    if (child.exitCode !== null) throw new Error(`the gateway ended:\n${gateway.log()}`);
    const answer = await fetch(`${gateway.admin}/readyz`).catch(() => null);
    if (answer?.ok) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`the gateway is not ready:\n${gateway.log()}`);
}

/** A service that knows what the configuration asks for. */
async function origin() {
  const server = createServer((asked, answer) => {
    const path = asked.url.split("?")[0];
    const vehicle = { id: 7, driver_id: 3, stop_ids: [1, 2] };
    const body = path.startsWith("/vehicles/") ? vehicle : { path, name: "<img src=x onerror=alert(1)>" };
    if (path.endsWith("/99")) answer.statusCode = 404;
    if (path.endsWith("/500")) answer.statusCode = 500;
    answer.setHeader("Content-Type", "application/json");
    setTimeout(() => answer.end(JSON.stringify(body)), path.endsWith("/8") ? 40 : 1);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}`, stop };
}

function free() {
  return new Promise((done) => {
    const server = createPort();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

const PATHS = ["/orders/7", "/orders/8", "/buses/7/dashboard", "/hello/you", "/orders/99", "/account", "/limited", "/nothing/here", "/orders/500", "/broken", "/hello/%3Cb%3Ebold%3C%2Fb%3E"];

/** Sends requests one after the other until the function that it gives is called. */
export function traffic(base) {
  let at = 0;
  const timer = setInterval(() => {
    const asked = request(new URL(PATHS[at++ % PATHS.length], base), { agent: false }, (answer) => answer.resume());
    asked.on("error", () => {});
    asked.end();
  }, PACE_MS);
  return () => clearInterval(timer);
}
