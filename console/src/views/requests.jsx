// The last requests, as they come, and why each ended as it did.

import { useEffect, useRef, useState } from "preact/hooks";
import { follow, getJson, tokens } from "../data/api.js";
import { useCell } from "../data/cell.js";
import { bytes, clock, count, milliseconds } from "../data/format.js";
import { Facts, Panel } from "../parts/panel.jsx";
import { Empty, Status, Trouble } from "../parts/state.jsx";
import { Table } from "../parts/table.jsx";
import { settle, to } from "../place.js";
import { Explained, explain } from "./explained.jsx";

/** Records that are shown; the gateway keeps some thousands. */
const ROWS_MAX = 200;
/** Records that come are drawn together, so often. */
const DRAW_MS = 250;
/** The admin side ends a stream with its connection; a pause before the next keeps a fault from becoming a storm. */
const AGAIN_MS = 2_000;

const FIELDS = ["status", "route", "reason", "path", "client", "method", "upstream", "min_ms"];

export function Requests({ query }) {
  const filter = Object.fromEntries(FIELDS.filter((name) => query[name]).map((name) => [name, query[name]]));
  const key = new URLSearchParams(filter).toString();
  const [paused, setPaused] = useState(false);
  const { rows, missed, error } = useRequests(key, paused);
  const [kept, keep] = useState(null);
  const chosen = rows.find((row) => row.id === query.id) ?? (kept?.id === query.id ? kept : null);
  const open = (row) => {
    keep(row);
    settle("requests", { ...filter, id: row.id === query.id ? "" : row.id });
  };
  return (
    <>
      <Filters filter={filter} paused={paused} pause={() => setPaused(!paused)} />
      <Trouble error={error} />
      {missed > 0 ? <p class="notice">{count(missed)} requests came too fast to be told here.</p> : null}
      {chosen ? <Record key={chosen.id} record={chosen} close={to("requests", filter)} /> : null}
      <Panel>
        <Table
          caption="The last requests, the latest first"
          rows={rows}
          keyOf={(row) => row.id}
          chosen={query.id}
          open={open}
          columns={COLUMNS}
          empty={<Empty title={key ? "No request fits" : "No requests yet"}>They appear here as they come.</Empty>}
        />
      </Panel>
    </>
  );
}

const COLUMNS = [
  { title: "Request", cell: (row) => <span class="match"><b>{row.method}</b> <code>{row.path}</code></span> },
  { title: "Status", cell: (row) => <Status code={row.status} /> },
  { title: "Reason", cell: (row) => (row.reason ? <code>{row.reason}</code> : "–") },
  { title: "Route", cell: (row) => row.route ?? "–" },
  { title: "Took", number: true, cell: (row) => milliseconds(row.duration_ms) },
  { title: "Client", cell: (row) => row.client },
  { title: "Time", number: true, cell: (row) => clock(row.time) },
];

/** The records that fit, the latest first; those that come are added unless it is paused. */
function useRequests(key, paused) {
  const [state, set] = useState({ rows: [], missed: 0, error: null });
  const token = useCell(tokens);
  const waiting = useRef([]);
  useEffect(() => {
    if (paused) return undefined;
    const stop = new AbortController();
    const more = key ? `&${key}` : "";
    const add = (rows) => set((old) => ({ ...old, error: null, rows: merged(rows, old.rows) }));
    const tell = (name, data) => {
      if (name === "missed") set((old) => ({ ...old, missed: old.missed + data.missed }));
      else waiting.current.push(data);
    };
    const drawn = setInterval(() => {
      const rows = waiting.current.splice(0).reverse();
      if (rows.length > 0) add(rows);
    }, DRAW_MS);
    set((old) => ({ ...old, rows: [] }));
    (async () => {
      while (!stop.signal.aborted) {
        try {
          const { requests } = await getJson(`/api/v1/requests?limit=${ROWS_MAX}${more}`, { signal: stop.signal });
          add(requests);
          await follow(`/api/v1/requests?follow${more}`, stop.signal, tell);
        } catch (error) {
          if (stop.signal.aborted) return;
          set((old) => ({ ...old, error }));
          await new Promise((done) => setTimeout(done, AGAIN_MS));
        }
      }
    })();
    return () => {
      stop.abort();
      clearInterval(drawn);
      waiting.current = [];
    };
  }, [key, paused, token]);
  return state;
}

function merged(fresh, old) {
  const ids = new Set(fresh.map((row) => row.id));
  return [...fresh, ...old.filter((row) => !ids.has(row.id))].sort((a, b) => (a.time < b.time ? 1 : -1)).slice(0, ROWS_MAX);
}

function Filters({ filter, paused, pause }) {
  const change = (name) => (event) => settle("requests", { ...filter, [name]: event.currentTarget.value.trim() });
  const field = (name, label, hint) => (
    <Field label={label} hint={hint} value={filter[name] ?? ""} change={change(name)} />
  );
  return (
    <form class="filters" onSubmit={(event) => event.preventDefault()}>
      <label>
        Status
        <select value={filter.status ?? ""} onChange={change("status")}>
          <option value="">any</option>
          {["2xx", "3xx", "4xx", "5xx"].map((one) => <option key={one}>{one}</option>)}
          {filter.status && !/^[2-5]xx$/.test(filter.status) ? <option>{filter.status}</option> : null}
        </select>
      </label>
      {field("route", "Route", "orders")}
      {field("reason", "Reason", "rate_limited")}
      {field("path", "Path begins", "/orders")}
      {field("client", "Client", "192.0.2.1")}
      {field("min_ms", "At least, ms", "100")}
      <div class="actions">
        <button type="button" aria-pressed={paused} onClick={pause}>{paused ? "Go on" : "Pause"}</button>
        {Object.keys(filter).length > 0 ? <a class="button" href={to("requests")}>Show all</a> : null}
      </div>
    </form>
  );
}

function Record({ record, close }) {
  const [answer, set] = useState({});
  const url = `${record.tls ? "https" : "http"}://${record.host ?? "localhost"}${record.path}`;
  useEffect(() => {
    const stop = new AbortController();
    explain({ method: record.method, url, ip: record.client }, stop.signal).then(
      (data) => set({ data }),
      (error) => stop.signal.aborted || set({ error }),
    );
    return () => stop.abort();
  }, []);
  return (
    <Panel title={`${record.method} ${record.path}`} aside={<a href={close}>Close</a>}>
      <Facts
        of={[
          ["Status", <Status code={record.status} />],
          ["Reason", record.reason ? <code>{record.reason}</code> : null],
          ["Route", record.route ? <a href={to("routes", { route: record.route })}>{record.route}</a> : null],
          ["Upstream", record.upstream ? <a href={to("upstreams", { upstream: record.upstream })}>{record.upstream}</a> : null],
          ["Target", record.target ? <code>{record.target}</code> : null],
          ["Attempts", record.attempts > 1 ? record.attempts : null],
          ["Took", milliseconds(record.duration_ms)],
          ["Upstream took", record.upstream_ms === null || record.upstream_ms === undefined ? null : milliseconds(record.upstream_ms)],
          ["Bytes", `${bytes(record.bytes_in)} in, ${bytes(record.bytes_out)} out`],
          ["Client", record.client],
          ["Consumer", record.consumer],
          ["Cache", record.cache],
          ["Host", record.host],
          ["Protocol", [record.http, record.tls].filter(Boolean).join(", ")],
          ["Configuration", record.generation],
          ["Time", record.time],
          ["Id", <code>{record.id}</code>],
        ]}
      />
      <div class="explained">
        <h3>Such a request now</h3>
        <p class="note">
          Its path, host and client again, without the headers, the query and the body, which are not kept.{" "}
          <a href={to("try", { method: record.method, url, ip: record.client })}>Add them</a>
        </p>
        <Explained answer={answer.data} error={answer.error} />
      </div>
    </Panel>
  );
}

/** A text of the filter. What is being typed stays while rows come, and counts when it is done. */
function Field({ label, hint, value, change }) {
  const [draft, setDraft] = useState(null);
  useEffect(() => setDraft(null), [value]);
  const type = (event) => setDraft(event.currentTarget.value);
  return (
    <label>
      {label}
      <input value={draft ?? value} onInput={type} onChange={change} placeholder={hint} spellcheck={false} autocapitalize="off" />
    </label>
  );
}
