// Upstreams and their targets: how each is, since when, and how it was while this page was open.

import { useCell } from "../data/cell.js";
import { ago, clock, many, milliseconds, short } from "../data/format.js";
import { readings, targetStates, useAsked } from "../data/live.js";
import { Facts, Panel } from "../parts/panel.jsx";
import { Empty, State, Trouble } from "../parts/state.jsx";
import { Table } from "../parts/table.jsx";

export function Upstreams({ query }) {
  const { data, error } = useAsked("/api/v1/upstreams", 2_000);
  const states = useCell(targetStates);
  const all = useCell(readings);
  if (!data) return <Trouble error={error} />;
  if (data.upstreams.length === 0) return <Empty title="No upstreams">Every route is answered by the gateway itself.</Empty>;
  const ordered = [...data.upstreams].sort((a, b) => Number(b.name === query.upstream) - Number(a.name === query.upstream));
  return (
    <>
      <Trouble error={error} />
      {ordered.map((upstream) => (
        <Upstream key={upstream.name} upstream={upstream} states={states} rate={rate(all, upstream.name)} />
      ))}
    </>
  );
}

/** Requests to an upstream per second, between the last two readings. */
function rate(all, name) {
  const [before, now] = all.slice(-2);
  if (!now || before.started !== now.started) return null;
  return ((now.upstreams[name] ?? 0) - (before.upstreams[name] ?? 0)) / ((now.at - before.at) / 1000);
}

function Upstream({ upstream, states, rate }) {
  const { connections, circuit } = upstream;
  return (
    <Panel title={upstream.name} aside={<State of={upstream.status} />}>
      <Table
        caption={`Targets of ${upstream.name}`}
        rows={upstream.targets}
        keyOf={(target) => target.url}
        columns={[
          { title: "Target", cell: (target) => <Target target={target} /> },
          { title: "State", cell: (target) => <State of={word(target.healthy)} /> },
          { title: "Since", cell: (target) => <span title={target.since}>{ago(target.since)}</span> },
          { title: "Weight", number: true, cell: (target) => target.weight },
          { title: "While this page was open", cell: (target) => <Past states={states[`${upstream.name} ${target.url}`]} /> },
        ]}
        empty={<Empty title="No targets" />}
      />
      <Facts
        of={[
          ["Requests", rate === null ? null : `${short(rate)} per second`],
          ["Connections", `${connections.active} active, ${connections.idle} idle`],
          ["Circuit", circuit ? <State of={circuit} /> : null],
          ["Balance", upstream.balance],
          ["Host sent", upstream.host],
          ["Connect timeout", milliseconds(upstream.connect_timeout_ms)],
          ["Timeout", milliseconds(upstream.timeout_ms)],
        ]}
      />
    </Panel>
  );
}

const word = (healthy) => (healthy === null ? "unknown" : healthy ? "up" : "down");

function Target({ target }) {
  return (
    <>
      <code>{target.url}</code>
      {target.hosts ? (
        <ul class="hosts">
          {target.hosts.map((host) => (
            <li key={host.url}>
              <State of={word(host.healthy)} /> <code>{host.url}</code> <small>{ago(host.since)}</small>
            </li>
          ))}
        </ul>
      ) : null}
    </>
  );
}

/** A strip of time, from when this page was opened until now, coloured by state; its changes in words. */
function Past({ states }) {
  const all = useCell(readings);
  if (!states || all.length === 0) return "–";
  const from = all[0].at;
  const until = Math.max(from + 1, all[all.length - 1].at);
  const parts = states.map(({ at, healthy }, index) => ({
    healthy,
    from: Math.max(at, from),
    until: states[index + 1]?.at ?? until,
  }));
  const changes = states.slice(1);
  return (
    <div class="past">
      <svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        {parts.map((part) => (
          <rect
            key={part.from}
            x={(100 * (part.from - from)) / (until - from)}
            width={(100 * Math.max(0, part.until - part.from)) / (until - from)}
            height="6"
            class={part.healthy ? "was-up" : "was-down"}
          />
        ))}
      </svg>
      <small>{changes.length === 0 ? "no change" : `${many(changes.length, "change")}, the last at ${clock(changes[changes.length - 1].at)}`}</small>
    </div>
  );
}
