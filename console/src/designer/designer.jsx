// The designer: a configuration's text with what is wrong with it, forms for what is edited most, and what it would
// change, before it is written or downloaded.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { stringify } from "yaml";
import { getJson } from "../data/api.js";
import { useCell } from "../data/cell.js";
import { many } from "../data/format.js";
import { Panel } from "../parts/panel.jsx";
import { Apply } from "./apply.jsx";
import { Changes, Posture, weigh } from "./changes.jsx";
import { lineOf, read } from "./document.js";
import { checked, edit, fetchSource, kept, open, source, text } from "./draft.js";
import { Editor } from "./editor.jsx";
import { RouteForms, UpstreamForms } from "./forms.jsx";
import { schema } from "./schema.js";

const START = "routes:\n  - name: hello\n    path: /hello/{name}\n    respond:\n      json: { hello: \"{name}\" }\n";
const FILE_BYTES_MAX = 4 * 1024 * 1024;

export function Designer() {
  const now = useCell(text);
  const answer = useCell(checked);
  const [rules, setRules] = useState(null);
  const [goto, setGoto] = useState(null);
  const [tab, setTab] = useState("routes");
  useEffect(() => {
    schema().then(setRules, () => {});
    if (source.get().state === "asking") fetchSource().then((found) => text.get() === "" && open(found ?? START));
  }, []);
  const document = useMemo(() => read(now), [now]);
  // What was whole last: names are completed while a line is half written.
  const whole = useRef(null);
  if (document.value) whole.current = document.value;
  const show = (path) => setGoto({ line: lineOf(document, path) });
  const own = (answer?.diagnostics ?? []).filter((one) => one.line);
  const faults = new Map(own.map((one) => [one.line, one.severity === "error" ? "error" : "warning"]));
  return (
    <>
      <Source />
      <div class="designer">
        <div class="write">
          <Editor text={now} change={edit} faults={faults} schema={rules} document={whole.current} goto={goto} />
          <p id="editor-help" class="note">Completion comes as you type, or with Ctrl + Space. Tab leaves the text when nothing is offered.</p>
          <Findings answer={answer} show={(line) => setGoto({ line })} />
        </div>
        <Side tab={tab} setTab={setTab} document={document} now={now} show={show} answer={answer} />
      </div>
    </>
  );
}

/** Where the text comes from and where it can go. */
function Source() {
  const from = useCell(source);
  const now = useCell(text);
  const before = useCell(kept);
  const [said, say] = useState(null);
  const openFile = async (event) => {
    const file = event.currentTarget.files[0];
    event.currentTarget.value = "";
    if (!file) return;
    if (file.size > FILE_BYTES_MAX) return say("A configuration has 4 MiB at most.");
    open(await file.text());
    say(null);
  };
  const running = async () => {
    const { files } = await getJson("/api/v1/config");
    open(stringify(files[0]?.config ?? {}, { lineWidth: 0 }));
    say("This is the main file of what runs. Its secrets are left out as ***: put them back before it goes anywhere.");
  };
  const download = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([now], { type: "application/yaml" }));
    link.download = "tollgate.yaml";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
  };
  return (
    <Panel>
      <div class="source">
        <p>
          {from.state === "allowed" ? <>The file <code>{from.name || "tollgate.yaml"}</code>, {now === before ? "as it is." : "with your changes."}</> : null}
          {from.state === "refused" ? <>Text of your own; it is written nowhere. {from.why}</> : null}
        </p>
        <div class="actions">
          <label class="button">Open a file<input type="file" class="unseen" accept=".yaml,.yml,text/yaml" onChange={openFile} /></label>
          {from.state === "allowed" ? (
            <button type="button" onClick={async () => open((await fetchSource()) ?? now)}>{now === before ? "Read again" : "Discard changes"}</button>
          ) : (
            <button type="button" onClick={running}>Begin with what runs</button>
          )}
          <button type="button" onClick={download}>Download</button>
          {from.state === "allowed" ? <Apply /> : null}
        </div>
      </div>
      {said ? <p class="notice" role="status">{said}</p> : null}
    </Panel>
  );
}

function Findings({ answer, show }) {
  const rows = answer?.diagnostics ?? [];
  const errors = rows.filter((one) => one.severity === "error").length;
  const verdict = !answer ? "Not checked yet." : errors > 0 ? `${many(errors, "error")}.` : rows.length > 0 ? `Valid, with ${many(rows.length, "warning")}.` : "Valid.";
  return (
    <section class="findings" aria-label="Findings">
      <p class={`verdict ${!answer ? "" : errors > 0 ? "bad" : "good"}`} role="status">{verdict}</p>
      <ul>
        {rows.slice(0, 50).map((one, at) => (
          <li key={at} class={one.severity}>
            {one.line ? <button type="button" class="quiet" onClick={() => show(one.line)}>line {one.line}</button> : null}
            <span>{one.message}{one.hint ? <small>{one.hint}</small> : null}</span>
            <code>{one.code}</code>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Side({ tab, setTab, document, now, show, answer }) {
  const { changes, less } = weigh(answer?.diff);
  const tabs = [
    ["routes", "Routes"],
    ["upstreams", "Upstreams"],
    ["changes", less.length > 0 ? `Changes (${changes}, weaker)` : `Changes (${changes})`],
    ["posture", "Posture"],
  ];
  const step = (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    const at = tabs.findIndex(([id]) => id === tab);
    const next = (at + move + tabs.length) % tabs.length;
    setTab(tabs[next][0]);
    event.currentTarget.children[next].focus();
  };
  const forms = { text: now, value: document.value, edit, show };
  return (
    <div class="panel side-forms">
      <div class="tabs" role="tablist" aria-label="Views of the configuration" onKeyDown={step}>
        {tabs.map(([id, title]) => (
          <button key={id} type="button" role="tab" id={`tab-${id}`} aria-selected={id === tab} aria-controls="tab-body" tabIndex={id === tab ? 0 : -1} onClick={() => setTab(id)}>{title}</button>
        ))}
      </div>
      <div id="tab-body" role="tabpanel" aria-labelledby={`tab-${tab}`} tabIndex={0}>
        {(tab === "routes" || tab === "upstreams") && !document.value ? <p class="note">Forms come back when the text is whole YAML again.</p> : null}
        {tab === "routes" && document.value ? <RouteForms {...forms} /> : null}
        {tab === "upstreams" && document.value ? <UpstreamForms {...forms} /> : null}
        {tab === "changes" ? <Changes checked={answer} /> : null}
        {tab === "posture" ? <Posture rows={answer?.posture} /> : null}
      </div>
    </div>
  );
}
