// Requests to the admin side that served this page. The token, where one is needed, stays in this tab: it is kept in
// sessionStorage, goes into the Authorization header and nowhere else.

import { cell } from "./cell.js";

const KEY = "tollgate-token";
/** An answer that takes longer is given up; a reload may wait for a file that is being written. */
const PATIENCE_MS = 70_000;

/** Whether the admin side asks for a token: `null` no, else what to tell the user. */
export const wanted = cell(null);
/** Whether the last request reached the gateway. */
export const reached = cell(true);
/** Counts tokens that were given, so that what was refused is asked again. */
export const tokens = cell(0);

export function giveToken(token) {
  sessionStorage.setItem(KEY, token);
  wanted.set(null);
  tokens.set(tokens.get() + 1);
}

export function forgetToken() {
  sessionStorage.removeItem(KEY);
  wanted.set("Signed out.");
}

export const hasToken = () => sessionStorage.getItem(KEY) !== null;

/** An answer that is no success, as the admin side's problem document tells it. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem?.detail ?? `the admin side answered ${status}`);
    this.status = status;
    this.code = problem?.code ?? "";
    this.problem = problem ?? {};
  }
}

/** One request; throws `Refused`, or a TypeError when the gateway cannot be reached. */
export async function request(method, path, { body, headers = {}, signal } = {}) {
  const token = sessionStorage.getItem(KEY);
  const all = { ...headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const limit = AbortSignal.timeout(PATIENCE_MS);
  let answer;
  try {
    answer = await fetch(path, { method, body, headers: all, cache: "no-store", signal: signal ?? limit });
    reached.set(true);
  } catch (error) {
    if (error.name !== "AbortError") reached.set(false);
    throw error;
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => null);
  if (answer.status === 401) {
    wanted.set(token ? "This is not the admin token." : "");
    sessionStorage.removeItem(KEY);
  }
  throw new Refused(answer.status, problem);
}

export const getJson = async (path, more) => (await request("GET", path, more)).json();
export const getText = async (path, more) => (await request("GET", path, more)).text();

export async function postJson(path, value, more) {
  const headers = { "Content-Type": "application/json" };
  return (await request("POST", path, { body: JSON.stringify(value), headers, ...more })).json();
}

/** The diagnostics, the posture and the difference of a configuration's text. */
export async function check(text, signal) {
  return (await request("POST", "/api/v1/check", { body: text, signal })).json();
}

/** Server-sent events of `path`, until `signal` or the end of the connection. (EventSource could send no token.) */
export async function follow(path, signal, tell) {
  const answer = await request("GET", path, { signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) event(block, tell);
  }
}

function event(block, tell) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  if (data.length > 0) tell(name, JSON.parse(data.join("\n")));
}
