// The text that is being designed. It lives as long as this tab does, in memory: it may hold secrets.

import { Refused, check, request } from "../data/api.js";
import { cell } from "../data/cell.js";

/** Between the last keystroke and the question to the gateway. */
const REST_MS = 400;
/** While another configuration is being checked, ask again so often. */
const AGAIN_MS = 300;

export const text = cell("");
/** What the text was when it was opened, or written last. */
export const kept = cell("");
/** The last answer of /api/v1/check, with the text that it is `of`; null while there is none. */
export const checked = cell(null);
/** How the file may be written: `{ state: "asking" | "allowed" | "refused", why, etag, name }`. */
export const source = cell({ state: "asking" });

let timer = null;
let running = null;

/** Takes a new text, and has it checked when it rests. */
export function edit(next) {
  if (next === text.get()) return;
  text.set(next);
  checkSoon(REST_MS);
}

/** Takes a text that was opened: there is nothing of it to be lost. */
export function open(next) {
  kept.set(next);
  text.set(next);
  checkSoon(0);
}

function checkSoon(after) {
  clearTimeout(timer);
  running?.abort();
  timer = setTimeout(ask, after);
}

async function ask() {
  const stop = new AbortController();
  running = stop;
  const asked = text.get();
  if (asked.trim() === "") return checked.set(null);
  try {
    checked.set({ ...(await check(asked, stop.signal)), of: asked });
  } catch (error) {
    if (stop.signal.aborted) return;
    if (error instanceof Refused && error.code === "overloaded") timer = setTimeout(ask, AGAIN_MS);
    else checked.set({ ok: false, diagnostics: [{ severity: "error", message: error.message }] });
  }
}

/** Gets the file's text, where the gateway gives it. */
export async function fetchSource() {
  try {
    const answer = await request("GET", "/api/v1/config/source");
    source.set({ state: "allowed", etag: answer.headers.get("ETag"), name: /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] });
    return await answer.text();
  } catch (error) {
    source.set({ state: "refused", why: error.message, code: error.code });
    return null;
  }
}

/** Writes the text to the file and has it loaded: `{ ok, … }`, or the refusal with its code. */
export async function write() {
  const body = text.get();
  const headers = { "If-Match": source.get().etag, "Content-Type": "application/yaml" };
  try {
    const answer = await request("PUT", "/api/v1/config/source", { body, headers });
    source.set({ ...source.get(), etag: answer.headers.get("ETag") });
    kept.set(body);
    checkSoon(0);
    return { ...(await answer.json()), ok: true };
  } catch (error) {
    return { ok: false, code: error.code, why: error.message, diagnostics: error.problem?.diagnostics ?? [] };
  }
}

addEventListener("beforeunload", (event) => {
  if (text.get() !== kept.get()) event.preventDefault();
});
