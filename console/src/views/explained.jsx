// What `POST /api/v1/explain` answers: routes that were considered, then each step of the way.
//
// Members that are not known here are shown as they come: a gateway may tell more than this page knows of.

import { postJson } from "../data/api.js";
import { many } from "../data/format.js";
import { Status, Tag, Trouble } from "../parts/state.jsx";
import { to } from "../place.js";

export const explain = (request, signal) => postJson("/api/v1/explain", request, { signal });

export function Explained({ answer, error }) {
  if (error?.status === 404) return <p class="notice">This gateway cannot explain requests.</p>;
  if (error) return <Trouble error={error} />;
  if (!answer) return <p class="note">Asking …</p>;
  return (
    <>
      <Outcome of={answer.outcome ?? {}} />
      <Steps rows={answer.steps ?? []} />
      <Considered rows={answer.routes ?? []} />
    </>
  );
}

function Outcome({ of }) {
  const { verdict, status, reason, detail, route, upstream, target, headers, sent, ...more } = of;
  return (
    <div class="ends">
      <p class="outcome">
        {status ? <Status code={status} /> : <b>{say(verdict)}</b>}
        {reason ? <code>{reason}</code> : null}
        {route ? <span>route <a href={to("routes", { route })}>{route}</a></span> : null}
        {upstream ? <span>upstream <a href={to("upstreams", { upstream })}>{upstream}</a></span> : null}
        {target ? <code>{target}</code> : null}
      </p>
      {detail ? <p class="note">{detail}</p> : null}
      <More title="What the service is sent" of={sent} />
      <More title="Headers of the answer" of={headers} />
      <More title="More" of={more} />
    </div>
  );
}

function Steps({ rows }) {
  if (rows.length === 0) return null;
  return (
    <ol class="steps">
      {rows.map(({ stage, step, verdict, detail, status, reason, ...more }, at) => (
        <li key={`${step} ${at}`} class={kind(verdict)}>
          <span class="stage">{say(stage)}</span>
          <Tag kind={kind(verdict)}>{say(verdict)}</Tag>
          <div class="detail">
            {status ? <Status code={status} /> : null} {reason ? <code>{reason}</code> : null} <Value of={detail} />
            <More title="More" of={more} />
          </div>
        </li>
      ))}
    </ol>
  );
}

/** What only some look for; nothing where there is nothing. */
function More({ title, of }) {
  if (empty(of)) return null;
  return (
    <details>
      <summary>{title}</summary>
      <Value of={of} />
    </details>
  );
}

/** Nothing, or nothing but nothings; a step that did not need something says so with `false`. */
function empty(of) {
  if (of === null || of === undefined || of === false || of === "") return true;
  return typeof of === "object" && Object.values(of).every(empty);
}

function Considered({ rows }) {
  if (rows.length === 0) return null;
  const lost = rows.filter((row) => !won(row.verdict));
  const first = rows.find((row) => won(row.verdict));
  return (
    <details class="considered">
      <summary>
        {first ? `Route ${first.name}` : "No route"}; {many(lost.length, "other")} considered
      </summary>
      <ul>
        {rows.slice(0, 200).map((row) => (
          <li key={row.name}>
            <Tag kind={won(row.verdict) ? "good" : ""}>{say(row.verdict)}</Tag> <b>{row.name}</b> <span>{typeof row.why === "string" ? row.why : <Value of={row.why} />}</span>
          </li>
        ))}
      </ul>
      {rows.length > 200 ? <p class="note">and {rows.length - 200} more</p> : null}
    </details>
  );
}

const say = (verdict) => (typeof verdict === "string" ? verdict.replaceAll("_", " ") : verdict === true ? "ok" : verdict === false ? "no" : JSON.stringify(verdict ?? "–"));
const won = (verdict) => verdict === true || /^(chosen|matched|match|won|wins|selected|taken)/.test(String(verdict));

function kind(verdict) {
  const text = String(verdict);
  if (/^(ok|pass|passed|match|chosen|allow|done|hit|fresh|true|would)/.test(text)) return "good";
  if (/^(refus|reject|denied|deny|fail|false|\d{3})/.test(text)) return "bad";
  if (/^(unknown|cannot|stale|warn)/.test(text)) return "warn";
  return "";
}

/** Any JSON: words as words, names with their values, lists as lists. */
function Value({ of, depth = 0 }) {
  if (of === null || of === undefined) return null;
  if (typeof of !== "object") return <span>{String(of)}</span>;
  if (depth > 4) return <code>{JSON.stringify(of)}</code>;
  if (!Array.isArray(of)) return <Pairs of={Object.entries(of).map(([name, value]) => [name.replaceAll("_", " "), value])} depth={depth} />;
  if (of.every((one) => one === null || typeof one !== "object")) return <span>{of.map(String).join(", ")}</span>;
  if (of.every((one) => one && Object.keys(one).join() === "name,value")) return <Pairs of={of.map(({ name, value }) => [name, value])} depth={depth} />;
  return <ul class="values">{of.map((one, at) => <li key={at}><Value of={one} depth={depth + 1} /></li>)}</ul>;
}

function Pairs({ of, depth }) {
  return (
    <dl class="values">
      {of.filter(([, value]) => !empty(value) || value === false).map(([name, value], at) => (
        <div key={at}>
          <dt>{name}</dt>
          <dd><Value of={value} depth={depth + 1} /></dd>
        </div>
      ))}
    </dl>
  );
}
