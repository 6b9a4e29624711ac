// The routes that serve, in the order in which they are asked, and who may reach each.

import { useState } from "preact/hooks";
import { useCell } from "../data/cell.js";
import { bytes, count, many, milliseconds } from "../data/format.js";
import { grown } from "../data/history.js";
import { readings, useAsked } from "../data/live.js";
import { Graph } from "../designer/graph.jsx";
import { Facts, Panel } from "../parts/panel.jsx";
import { Empty, Tag, Trouble } from "../parts/state.jsx";
import { Table } from "../parts/table.jsx";
import { Yaml } from "../parts/yaml.jsx";
import { settle, to } from "../place.js";

export function Routes({ query }) {
  const { data, error } = useAsked("/api/v1/routes", 10_000);
  const [words, setWords] = useState("");
  const [only, setOnly] = useState(false);
  const seen = new Map(grown(useCell(readings), "routes"));
  if (!data) return <Trouble error={error} />;
  const rows = data.routes.map((route, order) => ({ ...route, order, seen: seen.get(route.name) ?? 0 }));
  const open = rows.filter((route) => route.posture?.public).length;
  const fits = (route) => (!only || route.posture?.public) && text(route).includes(words.toLowerCase());
  const chosen = rows.find((route) => route.name === query.route);
  return (
    <>
      <Trouble error={error} />
      <p class="lead">
        {many(rows.length, "route")}. {open === 0 ? "None is public." : `${many(open, "route")} ${open === 1 ? "is" : "are"} public: no credential is asked for.`}
      </p>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <label class="wide">
          Find
          <input type="search" value={words} onInput={(event) => setWords(event.currentTarget.value)} placeholder="name, path, host, upstream" />
        </label>
        <label class="check">
          <input type="checkbox" checked={only} onChange={(event) => setOnly(event.currentTarget.checked)} /> Public only
        </label>
      </form>
      {chosen ? <Route route={chosen} /> : null}
      <Panel>
        <Table
          caption="Routes in the order in which they are asked"
          rows={rows.filter(fits)}
          keyOf={(route) => route.name}
          chosen={query.route}
          open={(route) => settle("routes", { route: route.name === query.route ? "" : route.name })}
          columns={COLUMNS}
          empty={<Empty title={rows.length ? "No route fits" : "No routes"} />}
        />
      </Panel>
    </>
  );
}

/** The posture says `-` where there is nothing to say. */
const said = (words) => (words === "-" ? null : words);

const text = (route) => JSON.stringify([route.name, route.path, route.hosts, route.methods, route.action]).toLowerCase();

const COLUMNS = [
  { title: "Route", cell: (route) => route.name, by: (route) => route.name },
  { title: "Match", cell: (route) => <Match route={route} />, by: (route) => route.path },
  { title: "Action", cell: (route) => action(route.action) },
  { title: "Who may call", cell: (route) => <Who posture={route.posture} />, by: (route) => (route.posture?.public ? "" : (route.posture?.auth ?? "")) },
  { title: "Limits", cell: (route) => said(route.posture?.limits) ?? "–" },
  { title: "Requests", number: true, cell: (route) => count(route.seen), by: (route) => route.seen },
];

function Match({ route }) {
  return (
    <span class="match">
      {route.methods.map((method) => <Tag key={method}>{method}</Tag>)}
      <code>{route.hosts.join(", ")}{route.path}</code>
      {route.conditions > 0 ? <small> and {many(route.conditions, "condition")}</small> : null}
    </span>
  );
}

function Who({ posture }) {
  if (!posture) return "–";
  return posture.public ? <Tag kind="warn">{posture.auth}</Tag> : <Tag kind="good">{posture.auth}</Tag>;
}

/** What a route does, in a few words. */
export function action(of) {
  if (of.to) return of.to.map(({ upstream, weight }) => (of.to.length > 1 ? `${upstream} (${weight})` : upstream)).join(", ");
  if (of.aggregate) return `aggregate of ${many(of.aggregate.parts.length, "part")}`;
  if (of.respond) return `respond ${of.respond.status}`;
  if (of.redirect) return `redirect ${of.redirect.status}`;
  if (of.health) return "health";
  return Object.keys(of)[0] ?? "–";
}

function Route({ route }) {
  const { data } = useAsked("/api/v1/config");
  const written = find(data, route.name);
  return (
    <Panel title={route.name} aside={<a href={to("routes")}>Close</a>}>
      <Facts
        of={[
          ["Match", <Match route={route} />],
          ["Action", action(route.action)],
          ["Who may call", route.posture ? <Who posture={route.posture} /> : null],
          ["Limits", said(route.posture?.limits)],
          ["TLS", said(route.posture?.tls)],
          ["Largest body", bytes(route.max_body)],
          ["Timeout", route.timeout_ms === null ? "the upstream's" : milliseconds(route.timeout_ms)],
          ["Requests", <a href={to("requests", { route: route.name })}>the last ones</a>],
          ["Try", <a href={to("try", { method: route.methods[0] ?? "GET", url: `http://${route.hosts[0]?.replace("*", "www") ?? "localhost"}${route.path}` })}>a request to it</a>],
        ]}
      />
      {written?.aggregate ? <Graph aggregate={written.aggregate} /> : null}
      {written ? <Yaml value={written} label="As it is written, without secrets" /> : null}
    </Panel>
  );
}

/** The route as a file has it; none where its name was made from method and path. */
function find(config, name) {
  for (const { config: file } of config?.files ?? []) {
    const found = file?.routes?.find?.((route) => route.name === name);
    if (found) return found;
  }
  return null;
}
