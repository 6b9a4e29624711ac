// Forms for routes, upstreams and the parts of an aggregate. They edit the text; what they do not know they leave.

import { useEffect, useState } from "preact/hooks";
import { Empty } from "../parts/state.jsx";
import { append, put } from "./document.js";
import { PART, ROUTE, UPSTREAM, meant, shown } from "./fields.js";
import { Graph } from "./graph.jsx";

/** `edit(text)` takes the new text; `show(path)` shows a place in it. */
export function RouteForms({ text, value, edit, show }) {
  const routes = Array.isArray(value?.routes) ? value.routes : [];
  const [at, choose] = useState(0);
  const route = routes[at];
  const add = () => {
    edit(append(text, ["routes"], { name: `route-${routes.length + 1}`, path: `/new-${routes.length + 1}`, respond: { body: "hello" } }));
    choose(routes.length);
  };
  return (
    <>
      <Chooser label="Route" names={routes.map((one, index) => name(one, index))} at={at} choose={choose} add={add} addText="New route" />
      {route && typeof route === "object" ? (
        <>
          <Fields key={at} of={ROUTE} base={["routes", at]} value={route} text={text} edit={edit} all={value} />
          {route.aggregate ? <Aggregate key={`parts-${at}`} base={["routes", at, "aggregate"]} aggregate={route.aggregate} text={text} edit={edit} show={show} all={value} /> : null}
          <Foot show={() => show(["routes", at])} remove={() => {
            edit(put(text, ["routes", at], undefined));
            choose(0);
          }} what="route" />
        </>
      ) : (
        <Empty title="No routes">“New route” writes one.</Empty>
      )}
    </>
  );
}

const name = (route, index) => route?.name ?? ([route?.methods, route?.path].flat().filter(Boolean).join(" ") || `route ${index + 1}`);

export function UpstreamForms({ text, value, edit, show }) {
  const names = Object.keys(value?.upstreams ?? {});
  const [chosen, choose] = useState("");
  const current = names.includes(chosen) ? chosen : names[0];
  const [fresh, setFresh] = useState("");
  const add = (event) => {
    event.preventDefault();
    if (!fresh || names.includes(fresh)) return;
    edit(put(text, ["upstreams", fresh], { targets: ["http://127.0.0.1:3000"] }));
    choose(fresh);
    setFresh("");
  };
  return (
    <>
      <Chooser label="Upstream" names={names} at={names.indexOf(current)} choose={(at) => choose(names[at])} />
      <form class="line new" onSubmit={add}>
        <label class="grow">
          Name of a new one
          <input value={fresh} onInput={(event) => setFresh(event.currentTarget.value.trim())} placeholder="orders" spellcheck={false} autocapitalize="off" />
        </label>
        <button type="submit" disabled={!fresh || names.includes(fresh)}>New upstream</button>
      </form>
      {current ? (
        <>
          <Fields key={current} of={UPSTREAM} base={["upstreams", current]} value={value.upstreams[current] ?? {}} text={text} edit={edit} all={value} />
          <Foot show={() => show(["upstreams", current])} remove={() => edit(put(text, ["upstreams", current], undefined))} what="upstream" />
        </>
      ) : (
        <Empty title="No upstreams">A route may also name a URL.</Empty>
      )}
    </>
  );
}

function Aggregate({ base, aggregate, text, edit, show, all }) {
  const parts = Array.isArray(aggregate.parts) ? aggregate.parts : [];
  const [at, choose] = useState(null);
  const place = [...base, "parts", at];
  return (
    <fieldset class="parts">
      <legend>Parts</legend>
      <Graph aggregate={aggregate} chosen={at} choose={(index) => choose(index === at ? null : index)} />
      {at !== null && parts[at] ? (
        <>
          <Fields key={at} of={PART} base={place} value={parts[at]} text={text} edit={edit} all={all} />
          <Foot show={() => show(place)} remove={() => {
            edit(put(text, place, undefined));
            choose(null);
          }} what="part" />
        </>
      ) : (
        <p class="note">Choose a part to edit it.</p>
      )}
      <button type="button" onClick={() => edit(append(text, [...base, "parts"], { name: `part${parts.length + 1}`, json: { hello: "world" } }))}>New part</button>
    </fieldset>
  );
}

function Chooser({ label, names, at, choose, add, addText }) {
  return (
    <div class="line">
      <label class="grow">
        {label}
        <select value={at} onChange={(event) => choose(Number(event.currentTarget.value))} disabled={names.length === 0}>
          {names.map((one, index) => <option key={index} value={index}>{one}</option>)}
        </select>
      </label>
      {add ? <button type="button" onClick={add}>{addText}</button> : null}
    </div>
  );
}

function Foot({ show, remove, what }) {
  return (
    <div class="actions">
      <button type="button" onClick={show}>Show in the text</button>
      <button type="button" class="danger" onClick={remove}>Remove this {what}</button>
    </div>
  );
}

function Fields({ of, base, value, text, edit, all }) {
  const rows = of.filter((field) => field.group || !field.when || field.when(value));
  return (
    <div class="fields compact">
      {rows.map((field) =>
        field.group ? (
          <h3 key={field.group}>{field.group}</h3>
        ) : (
          <Field key={field.path.join(".")} field={field} value={inside(value, field.path)} names={Object.keys(all?.[field.names] ?? {})} set={(next) => edit(put(text, [...base, ...field.path], next))} />
        ),
      )}
    </div>
  );
}

/** What stands at a path; `undefined` where something else is in the way, which is told apart by `blocked`. */
function inside(value, path) {
  let here = value;
  for (const step of path) {
    if (here === undefined || here === null) return undefined;
    // Written in another shape, such as a list of limits: the text has the word.
    if (typeof here !== "object" || Array.isArray(here)) return [{}];
    here = here[step];
  }
  return here;
}

/** A field is taken when it is left, or at Enter: halves of words never reach the text. */
function Field({ field, value, names, set }) {
  const { label, kind, hint, options } = field;
  const current = shown(kind, value);
  const [draft, setDraft] = useState(current ?? "");
  useEffect(() => setDraft(current ?? ""), [current]);
  const take = (text) => {
    if (text !== current) set(meant(kind, text));
  };
  if (current === null) return <p class="elsewhere"><b>{label}</b> is written in a way that only the text shows.</p>;
  if (kind === "switch") {
    return <label class="check"><input type="checkbox" checked={current} onChange={(event) => take(event.currentTarget.checked)} /> {label}</label>;
  }
  const list = names.length > 0 ? `names-${field.names}-${field.path.join("-")}` : undefined;
  const common = { value: draft, placeholder: hint, spellcheck: false, autocapitalize: "off", onInput: (event) => setDraft(event.currentTarget.value), onBlur: () => take(draft) };
  return (
    <label>
      {label}
      {kind === "choice" ? (
        <select value={current} onChange={(event) => take(event.currentTarget.value)}>
          {options.map((one) => <option key={one} value={one}>{one || "default"}</option>)}
          {options.includes(current) ? null : <option>{current}</option>}
        </select>
      ) : kind === "lines" ? (
        <textarea rows={3} {...common} />
      ) : (
        <input {...common} list={list} onKeyDown={(event) => event.key === "Enter" && take(draft)} />
      )}
      {list ? <datalist id={list}>{names.map((one) => <option key={one} value={one} />)}</datalist> : null}
    </label>
  );
}
