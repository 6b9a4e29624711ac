// What was scraped while this page is open: the last quarter of an hour, in this tab's memory and nowhere else.

import { buckets, by, quantile, since, sum } from "./metrics.js";

/** At one sample in two seconds: 15 minutes. */
export const SAMPLES_MAX = 450;
/** Percentiles are of so many samples together: of one alone they jump. */
const WINDOW = 5;

const DURATION = "tollgate_request_duration_seconds";

/** What one scrape says, as counters. */
export function reading(families, at) {
  return {
    at,
    requests: sum(families, "tollgate_requests_total"),
    failed: sum(families, "tollgate_requests_total", (labels) => labels.status.startsWith("5")),
    refused: sum(families, "tollgate_requests_total", (labels) => labels.status.startsWith("4")),
    reasons: by(families, "tollgate_rejected_total", "reason"),
    routes: by(families, "tollgate_requests_total", "route"),
    upstreams: by(families, "tollgate_upstream_requests_total", "upstream"),
    duration: buckets(families, DURATION),
    overhead: buckets(families, "tollgate_overhead_seconds"),
    cpu: sum(families, "process_cpu_seconds_total"),
    memory: sum(families, "process_resident_memory_bytes"),
    inFlight: sum(families, "tollgate_inflight_requests"),
    connections: sum(families, "tollgate_connections"),
    started: sum(families, "process_start_time_seconds"),
  };
}

/** A sample of the charts out of the readings so far, the last of which is new. */
export function sample(readings) {
  const now = readings[readings.length - 1];
  const before = readings[readings.length - 2];
  // Another process: its counters begin anew.
  if (!before || before.started !== now.started || now.requests < before.requests) return null;
  const seconds = Math.max(0.001, (now.at - before.at) / 1000);
  const rate = (name) => (now[name] - before[name]) / seconds;
  const old = readings[Math.max(0, readings.length - 1 - WINDOW)];
  const duration = since(now.duration, old.started === now.started ? old.duration : []);
  const overhead = since(now.overhead, old.started === now.started ? old.overhead : []);
  const requests = now.requests - before.requests;
  return {
    at: now.at / 1000,
    requests: rate("requests"),
    failed: rate("failed"),
    refused: rate("refused"),
    p50: quantile(duration, 0.5),
    p95: quantile(duration, 0.95),
    p99: quantile(duration, 0.99),
    overhead: quantile(overhead, 0.5),
    // Below a few requests the pulse of the process itself would be counted as theirs.
    cpu: requests >= 5 ? (now.cpu - before.cpu) / requests : null,
    busy: (now.cpu - before.cpu) / seconds,
    memory: now.memory,
    inFlight: now.inFlight,
    connections: now.connections,
  };
}

/** Counts by key between the eldest reading and the last, the highest first: `[[key, count]]`. */
export function grown(readings, name) {
  const now = readings[readings.length - 1];
  const first = readings.find((one) => one.started === now?.started);
  if (!now || !first) return [];
  const rows = Object.entries(now[name]).map(([key, count]) => [key, count - (first[name][key] ?? 0)]);
  return rows.filter(([, count]) => count > 0).sort(([, a], [, b]) => b - a);
}

/** Changes of targets' states, as far as this page has seen them: `{ "upstream target": [{ at, healthy }] }`. */
export function noteTargets(seen, health, at) {
  const next = { ...seen };
  for (const [upstream, { targets }] of Object.entries(health.upstreams ?? {})) {
    for (const { url, healthy, since } of targets) {
      const key = `${upstream} ${url}`;
      const states = next[key] ?? [{ at: Math.min(at, Date.parse(since) || at), healthy }];
      const last = states[states.length - 1];
      next[key] = last.healthy === healthy ? states : [...states, { at, healthy }].slice(-100);
    }
  }
  return next;
}
