// What a configuration would change: routes, protection, the rest; told by `diff` and `posture` of /api/v1/check.

import { many } from "../data/format.js";
import { Empty, Tag } from "../parts/state.jsx";
import { Table } from "../parts/table.jsx";

/** How much a difference changes, and what of it protects less. */
export function weigh(diff) {
  const routes = diff?.routes ?? {};
  const sets = ["upstreams", "issuers", "consumers"].map((name) => diff?.[name] ?? {});
  const all = [routes, ...sets].flatMap((set) => [set.added, set.removed, set.changed].map((list) => list?.length ?? 0));
  // What protects less, with its owner: routes by name alone where the gateway tells no more.
  const less = diff?.weaker ?? (routes.less_protected ?? []).map((name) => ({ part: "route", name: said(name) }));
  return { changes: all.reduce((sum, one) => sum + one, 0) + (diff?.keys?.length ?? 0), less };
}

const said = (one) => (typeof one === "string" ? one : (one.route ?? one.name ?? JSON.stringify(one)));

export function Changes({ checked }) {
  if (!checked) return <Empty title="Not checked yet" />;
  if (!checked.diff) return <Empty title="Not known">A configuration with errors cannot be compared.</Empty>;
  const { diff } = checked;
  const { changes, less } = weigh(diff);
  if (changes === 0 && less.length === 0) return <Empty title="No difference">This is what runs.</Empty>;
  return (
    <div class="changes">
      {less.length > 0 ? (
        <div class="notice bad" role="alert">
          <strong>Less protected than now:</strong>
          <ul>
            {less.map(({ part, name, instead_of: instead, detail }, at) => (
              <li key={at}>
                {[part, name].filter(Boolean).join(" ")}{instead ? ` (in the place of ${instead})` : ""} {detail}
              </li>
            ))}
          </ul>
        </div>
      ) : (
        <p class="notice good">Nothing is less protected than now.</p>
      )}
      <Names title="New routes" names={diff.routes?.added} kind="good" />
      <Names title="Routes that go" names={diff.routes?.removed} kind="bad" />
      {(diff.routes?.changed ?? []).map((one) => <Changed key={one.route} of={one} />)}
      {diff.routes?.unknown > 0 ? <p class="note">{many(diff.routes.unknown, "route")} with a path from the environment cannot be compared.</p> : null}
      {["upstreams", "issuers", "consumers"].map((set) => (
        <Set key={set} title={set} of={diff[set]} />
      ))}
      <Names title="Other keys" names={diff.keys} />
      <Names title="Needs a restart" names={diff.needs_restart} kind="warn" />
    </div>
  );
}

function Set({ title, of = {} }) {
  return (
    <>
      <Names title={`New ${title}`} names={of.added} kind="good" />
      <Names title={`${title[0].toUpperCase()}${title.slice(1)} that go`} names={of.removed} kind="bad" />
      <Names title={`Changed ${title}`} names={of.changed} />
    </>
  );
}

function Names({ title, names, kind = "" }) {
  if (!names?.length) return null;
  return (
    <p class="names">
      <b>{title}</b> {names.map((name, at) => <Tag key={at} kind={kind}>{said(name)}</Tag>)}
    </p>
  );
}

function Changed({ of }) {
  const rows = ["match", "action", "auth", "limits", "tls"].filter((name) => of.before?.[name] !== of.after?.[name]);
  return (
    <div class="changed">
      <b>{said(of)}</b> {(of.keys ?? []).map((key) => <Tag key={key}>{key}</Tag>)}
      {rows.map((name) => (
        <p key={name}>
          {name}: <del>{of.before?.[name] ?? "–"}</del> <ins>{of.after?.[name] ?? "–"}</ins>
        </p>
      ))}
    </div>
  );
}

/** Who may reach what, as the text would have it. */
export function Posture({ rows }) {
  return (
    <Table
      caption="Who may reach what"
      rows={rows ?? []}
      keyOf={(row) => row.route}
      columns={[
        { title: "Route", cell: (row) => row.route, by: (row) => row.route },
        { title: "Match", cell: (row) => <code>{row.match}</code> },
        { title: "Who may call", cell: (row) => <Tag kind={row.public ? "warn" : "good"}>{row.auth}</Tag>, by: (row) => (row.public ? "" : row.auth) },
        { title: "Limits", cell: (row) => (row.limits === "-" ? "–" : row.limits) },
      ]}
      empty={<Empty title="Not known">A configuration with errors has no posture.</Empty>}
    />
  );
}
