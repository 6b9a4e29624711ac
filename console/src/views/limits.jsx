// What is counted, and how full it is.

import { bytes, count, many, span } from "../data/format.js";
import { useAsked } from "../data/live.js";
import { Facts, Meter, Panel } from "../parts/panel.jsx";
import { Empty, State, Trouble } from "../parts/state.jsx";
import { Table } from "../parts/table.jsx";
import { to } from "../place.js";

export function Limits() {
  const { data, error } = useAsked("/api/v1/limits", 2_000);
  if (!data) return <Trouble error={error} />;
  return (
    <>
      <Trouble error={error} />
      <Rates data={data} />
      <Concurrency rows={data.concurrency} />
      <div class="columns">
        <Connections of={data.connections} />
        <Memory of={data.memory} />
        <Buckets of={data.buckets} />
      </div>
    </>
  );
}

function Rates({ data }) {
  return (
    <Panel title="Rate limits">
      <Table
        caption="Rate limits"
        rows={data.rate_limits.map((limit, at) => ({ ...limit, at }))}
        keyOf={(limit) => limit.at}
        columns={[
          { title: "Limit", cell: (limit) => <code>{limit.limit}</code>, by: (limit) => limit.limit },
          { title: "Rate", cell: (limit) => `${count(limit.rate)} in ${span(limit.period_s)}, at once ${count(limit.burst)}` },
          { title: "Counts by", cell: (limit) => limit.per },
          { title: "Counted", cell: (limit) => (limit.store === "redis" ? `in Redis, ${limit.sync}` : "here") },
          { title: "Routes", cell: (limit) => <Routes names={limit.routes} /> },
          { title: "Refused", number: true, cell: (limit) => count(limit.refused), by: (limit) => limit.refused },
        ]}
        empty={<Empty title="No rate limits">Give a route <code>rate_limit</code>: <code>{"{ rate: 100/s, per: ip }"}</code></Empty>}
      />
    </Panel>
  );
}

function Routes({ names }) {
  const shown = names.slice(0, 5);
  return (
    <>
      {shown.map((name, at) => (
        <span key={name}>{at > 0 ? ", " : ""}<a href={to("routes", { route: name })}>{name}</a></span>
      ))}
      {names.length > shown.length ? ` and ${names.length - shown.length} more` : null}
    </>
  );
}

function Concurrency({ rows }) {
  if (rows.length === 0) return null;
  return (
    <Panel title="Requests in flight">
      <Table
        caption="Bounds on requests in flight"
        rows={rows}
        keyOf={(row) => row.route}
        columns={[
          { title: "Route", cell: (row) => <a href={to("routes", { route: row.route })}>{row.route}</a> },
          { title: "In flight", cell: (row) => <Meter label={`In flight on ${row.route}`} value={row.in_flight} max={row.max} text={`${row.in_flight} of ${row.max}`} /> },
          { title: "Waiting", cell: (row) => `${row.waiting} of ${row.queue}` },
        ]}
        empty={null}
      />
    </Panel>
  );
}

function Connections({ of }) {
  return (
    <Panel title="Connections">
      <Meter label="Open connections" value={of.open} max={of.max} text={`${count(of.open)} of ${count(of.max)} open`} />
      <Facts of={[["Closed at accept", count(of.refused)]]} />
    </Panel>
  );
}

function Memory({ of }) {
  return (
    <Panel title="Memory" aside={<State of={of.state} />}>
      {of.max ? (
        <Meter label="Memory of the process" value={of.resident} max={of.max} text={`${bytes(of.resident)} of ${bytes(of.max)}`} />
      ) : (
        <p>{of.resident ? `${bytes(of.resident)} resident; ` : ""}<code>limits.memory</code> sets no cap.</p>
      )}
      <Facts of={[["Held for clients", bytes(of.held)], ["Connections closed for it", count(of.connections_closed)]]} />
    </Panel>
  );
}

function Buckets({ of }) {
  return (
    <Panel title="Counters of limits">
      <Meter label="Counters of rate limits" value={of.now} max={of.max} text={`${count(of.now)} of ${count(of.max)}`} />
      <Facts of={[["Memory", bytes(of.bytes)], ["Made room", count(of.evicted)], ["Decided without room", `${many(of.overflowed, "time")}`]]} />
    </Panel>
  );
}
