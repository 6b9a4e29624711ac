// Who signs tokens and whether their keys are here; the gateway's own tokens; Redis.

import { useCell } from "../data/cell.js";
import { ago, count, span } from "../data/format.js";
import { families, health } from "../data/live.js";
import { by } from "../data/metrics.js";
import { Facts, Panel } from "../parts/panel.jsx";
import { Empty, State } from "../parts/state.jsx";
import { Table } from "../parts/table.jsx";

export function Issuers() {
  const state = useCell(health);
  const scraped = useCell(families);
  if (!state) return null;
  const issuers = Object.entries(state.issuers ?? {});
  const tokens = Object.entries(state.tokens ?? {});
  return (
    <>
      <Panel title="Issuers of tokens">
        <Table
          caption="Issuers of tokens"
          rows={issuers}
          keyOf={([name]) => name}
          columns={[
            { title: "Issuer", cell: ([name]) => name },
            { title: "State", cell: ([, one]) => <State of={one.status} /> },
            { title: "Keys", number: true, cell: ([, one]) => one.keys ?? "–" },
            { title: "Fetched", cell: ([, one]) => (typeof one.age_s === "number" ? `${span(one.age_s)} ago` : "–") },
            { title: "Last fault", cell: ([, one]) => one.last_error ?? "none" },
          ]}
          empty={<Empty title="No issuers">Name one under <code>issuers</code>, and ask for its tokens with <code>auth: {"{ jwt: name }"}</code> on a route.</Empty>}
        />
      </Panel>
      <Refusals scraped={scraped} />
      {tokens.length > 0 ? (
        <Panel title="Tokens of the gateway's own">
          <Table
            caption="Tokens that upstreams are shown"
            rows={tokens}
            keyOf={([name]) => name}
            columns={[
              { title: "Upstream", cell: ([name]) => name },
              { title: "State", cell: ([, one]) => <State of={one.status} /> },
              { title: "Ends in", cell: ([, one]) => (typeof one.ends_in_s === "number" ? span(one.ends_in_s) : "–") },
              { title: "Last fault", cell: ([, one]) => one.last_error ?? "none" },
            ]}
            empty={null}
          />
        </Panel>
      ) : null}
      {state.redis ? (
        <Panel title="Redis" aside={<State of={state.redis.status} />}>
          <Facts of={[["Since", ago(state.redis.since)], ["Without it", state.redis.on_failure], ["Last fault", state.redis.last_error]]} />
        </Panel>
      ) : null}
    </>
  );
}

const IDENTITY = /^(token|key|basic|scope|role|group|claim|issuer)_|^claim_mismatch$/;

/** Why callers were not let in, since the gateway started. */
function Refusals({ scraped }) {
  const rows = Object.entries(scraped ? by(scraped, "tollgate_rejected_total", "reason") : {});
  const about = rows.filter(([reason, number]) => number > 0 && IDENTITY.test(reason)).sort(([, a], [, b]) => b - a);
  return (
    <Panel title="Callers that were not let in">
      <Table
        caption="Refused credentials by reason, since the gateway started"
        rows={about}
        keyOf={([reason]) => reason}
        columns={[
          { title: "Reason", cell: ([reason]) => <code>{reason}</code> },
          { title: "Since the start", number: true, cell: ([, number]) => count(number) },
        ]}
        empty={<Empty title="None">Every credential since the start was good.</Empty>}
      />
    </Panel>
  );
}
