// How it goes now: rates, percentiles, refusals by reason, what a request costs.

import { useCell } from "../data/cell.js";
import { bytes, count, many, short, time } from "../data/format.js";
import { grown } from "../data/history.js";
import { EVERY_MS, health, readings, samples } from "../data/live.js";
import { Chart } from "../parts/chart.jsx";
import { Figure, Panel } from "../parts/panel.jsx";
import { Empty, State } from "../parts/state.jsx";
import { Table } from "../parts/table.jsx";
import { to } from "../place.js";

export function Overview() {
  const rows = useCell(samples);
  const all = useCell(readings);
  const last = rows[rows.length - 1] ?? {};
  return (
    <>
      <dl class="figures">
        <Figure name="Requests" value={short(last.requests)} note="per second" />
        <Figure name="Median" value={time(last.p50)} note={`99 %: ${time(last.p99)}`} />
        <Figure name="Failed" value={share(last)} note="5xx of all" kind={last.failed > 0 ? "bad" : ""} />
        <Figure name="CPU" value={time(last.cpu)} note="per request" />
        <Figure name="Memory" value={bytes(last.memory)} note="resident" />
        <Figure name="In flight" value={count(last.inFlight)} note={many(last.connections ?? 0, "connection")} />
      </dl>
      {rows.length === 0 ? (
        <Empty title="Measuring">Rates are the difference of two readings, {EVERY_MS / 1000} s apart.</Empty>
      ) : (
        <Charts rows={rows} />
      )}
      <div class="columns">
        <Reasons all={all} />
        <Busiest all={all} />
        <Services />
      </div>
    </>
  );
}

/** Steps of an axis of bytes. */
const POWERS = Array.from({ length: 24 }, (_, power) => 1024 * 2 ** power);

function share({ requests, failed }) {
  if (!requests) return requests === 0 ? "0 %" : "–";
  return `${short((100 * failed) / requests)} %`;
}

function Charts({ rows }) {
  return (
    <div class="charts">
      <Chart
        title="Requests per second"
        rows={rows}
        show={short}
        lines={[
          { key: "requests", label: "all", colour: "one", fill: true },
          { key: "refused", label: "4xx", colour: "two" },
          { key: "failed", label: "5xx", colour: "three" },
        ]}
      />
      <Chart
        title="Latency"
        rows={rows}
        show={time}
        lines={[
          { key: "p50", label: "50 %", colour: "one", fill: true },
          { key: "p95", label: "95 %", colour: "two" },
          { key: "p99", label: "99 %", colour: "three" },
        ]}
      />
      <Chart
        title="Cost of a request"
        rows={rows}
        show={time}
        lines={[
          { key: "cpu", label: "CPU", colour: "one", fill: true },
          { key: "overhead", label: "time inside the gateway, 50 %", colour: "two" },
        ]}
      />
      <Chart title="Memory" rows={rows} show={bytes} incrs={POWERS} lines={[{ key: "memory", label: "resident", colour: "one", fill: true }]} />
    </div>
  );
}

function Reasons({ all }) {
  const rows = grown(all, "reasons");
  return (
    <Panel title="Refused, by reason">
      <Table
        caption="Refusals by reason since this page was opened"
        rows={rows.slice(0, 10)}
        keyOf={([reason]) => reason}
        columns={[
          { title: "Reason", cell: ([reason]) => <a href={to("requests", { reason })}><code>{reason}</code></a> },
          { title: "Requests", number: true, cell: ([, number]) => count(number) },
        ]}
        empty={<Empty title="Nothing was refused">since this page was opened.</Empty>}
      />
    </Panel>
  );
}

function Busiest({ all }) {
  const rows = grown(all, "routes");
  return (
    <Panel title="Busiest routes">
      <Table
        caption="Requests by route since this page was opened"
        rows={rows.slice(0, 10)}
        keyOf={([route]) => route}
        columns={[
          { title: "Route", cell: ([route]) => (route === "none" ? "no route" : <a href={to("routes", { route })}>{route}</a>) },
          { title: "Requests", number: true, cell: ([, number]) => count(number) },
        ]}
        empty={<Empty title="No requests yet">since this page was opened.</Empty>}
      />
    </Panel>
  );
}

function Services() {
  const state = useCell(health);
  const rows = Object.entries(state?.upstreams ?? {});
  return (
    <Panel title="Upstreams">
      <Table
        caption="Upstreams and how they are"
        rows={rows}
        keyOf={([name]) => name}
        columns={[
          { title: "Upstream", cell: ([name]) => <a href={to("upstreams", { upstream: name })}>{name}</a> },
          { title: "Targets", number: true, cell: ([, { targets }]) => `${targets.filter((one) => one.healthy).length} of ${targets.length}` },
          { title: "State", cell: ([, { status }]) => <State of={status} /> },
        ]}
        empty={<Empty title="No upstreams">The gateway answers by itself.</Empty>}
      />
    </Panel>
  );
}
