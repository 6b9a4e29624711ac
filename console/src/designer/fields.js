// What the forms ask: for each field its place beneath the route, the upstream or the part, and what stands there.
//
// `kind`: text, list (comma between), lines (one each), choice (of `options`), switch. `when` says whether the field
// belongs to what is edited; what it says of a value in another shape is said by `fits`.

const BALANCE = ["", "least_requests", "round_robin", "random"];

export const ROUTE = [
  { group: "Match" },
  { path: ["name"], label: "Name", kind: "text", hint: "made from method and path" },
  { path: ["path"], label: "Path", kind: "text", hint: "/orders/{id}" },
  { path: ["methods"], label: "Methods", kind: "list", hint: "any" },
  { path: ["host"], label: "Host", kind: "list", hint: "any" },
  { group: "Action" },
  { path: ["to"], label: "Upstream", kind: "text", names: "upstreams", when: (route) => !["aggregate", "respond", "redirect", "health"].some((one) => one in route) },
  { path: ["request", "rewrite"], label: "Path sent", kind: "text", hint: "as it came" },
  { path: ["timeout"], label: "Timeout", kind: "text", hint: "the upstream's" },
  { path: ["cache", "ttl"], label: "Keep answers for", kind: "text", hint: "none are kept" },
  { group: "Who may call" },
  { path: ["auth", "jwt"], label: "Tokens of", kind: "list", names: "issuers", hint: "no issuer" },
  { path: ["auth", "api_key", "header"], label: "API key in header", kind: "text", hint: "no key" },
  { path: ["auth", "require", "scopes"], label: "Scopes", kind: "list", hint: "none" },
  { path: ["allow_ips"], label: "Only from", kind: "list", hint: "any address" },
  { group: "Limits" },
  { path: ["rate_limit", "rate"], label: "Rate", kind: "text", hint: "100/s; no limit" },
  { path: ["rate_limit", "per"], label: "Counted by", kind: "text", hint: "ip" },
  { path: ["concurrency", "max"], label: "In flight at most", kind: "text", hint: "no bound" },
  { path: ["max_body"], label: "Largest body", kind: "text", hint: "limits.body" },
];

export const UPSTREAM = [
  { path: ["targets"], label: "Targets, one on a line", kind: "lines", hint: "http://10.0.0.5:3000" },
  { path: ["balance"], label: "Balance", kind: "choice", options: BALANCE },
  { path: ["host"], label: "Host sent", kind: "text", hint: "upstream" },
  { group: "Patience" },
  { path: ["connect_timeout"], label: "Connect timeout", kind: "text", hint: "2s" },
  { path: ["timeout"], label: "Timeout", kind: "text", hint: "30s" },
  { path: ["retry", "attempts"], label: "Retries", kind: "text", hint: "none" },
  { group: "Health" },
  { path: ["health_check", "path"], label: "Health check path", kind: "text", hint: "not checked" },
  { path: ["health_check", "every"], label: "Checked every", kind: "text", hint: "5s" },
  { path: ["outlier", "consecutive_failures"], label: "Eject after failures", kind: "text", hint: "never" },
  { path: ["circuit_breaker", "failure_rate"], label: "Open the circuit at", kind: "text", hint: "never" },
];

export const PART = [
  { path: ["name"], label: "Name", kind: "text", hint: "vehicle" },
  { path: ["to"], label: "Upstream", kind: "text", names: "upstreams", hint: "constant data" },
  { path: ["path"], label: "Path", kind: "text", hint: "/vehicles/{id}" },
  { path: ["for_each"], label: "For each of", kind: "text", hint: "once" },
  { path: ["pick"], label: "Keep only", kind: "list", hint: "everything" },
  { path: ["wrap"], label: "Under the name", kind: "text", hint: "merged as it is" },
  { path: ["if"], label: "If", kind: "text", hint: "always" },
  { path: ["timeout"], label: "Timeout", kind: "text", hint: "the rest of the whole's" },
  { path: ["required"], label: "Required", kind: "switch" },
];

/** What a field shows of a value; `null` when the value has a shape that only the text can have. */
export function shown(kind, value) {
  if (value === undefined || value === null) return kind === "switch" ? false : "";
  if (kind === "switch") return typeof value === "boolean" ? value : null;
  if (Array.isArray(value)) {
    const plain = value.every((one) => typeof one !== "object" || one === null);
    if (!plain || !["list", "lines"].includes(kind)) return null;
    return value.join(kind === "lines" ? "\n" : ", ");
  }
  return typeof value === "object" ? null : String(value);
}

/** The value that a field's text stands for; `undefined`: nothing. */
export function meant(kind, text) {
  if (kind === "switch") return text ? true : undefined;
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  if (kind === "lines" || kind === "list") {
    const all = trimmed.split(kind === "lines" ? "\n" : ",").map((one) => one.trim()).filter(Boolean);
    return all.length > 0 ? all : undefined;
  }
  return /^\d+$/.test(trimmed) ? Number(trimmed) : trimmed;
}
