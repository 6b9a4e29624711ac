// Writing the file and loading it: only after what it changes was shown and confirmed.

import { useRef, useState } from "preact/hooks";
import { useCell } from "../data/cell.js";
import { Changes, weigh } from "./changes.jsx";
import { checked, kept, text, write } from "./draft.js";

export function Apply() {
  const now = useCell(text);
  const before = useCell(kept);
  const answer = useCell(checked);
  const dialog = useRef(null);
  const [outcome, setOutcome] = useState(null);
  const [busy, setBusy] = useState(false);
  const [sure, setSure] = useState(false);
  const { less } = weigh(answer?.diff);
  const ask = () => {
    setOutcome(null);
    setSure(false);
    dialog.current.showModal();
  };
  const apply = async () => {
    setBusy(true);
    setOutcome(await write());
    setBusy(false);
  };
  return (
    <>
      <button type="button" class="main" disabled={now === before || !answer?.ok || answer.of !== now} onClick={ask}>Write and reload …</button>
      <dialog ref={dialog} aria-labelledby="apply-title">
        <h2 id="apply-title">{outcome?.ok ? "It is in effect" : "Write this configuration?"}</h2>
        {outcome ? <Outcome of={outcome} /> : <Changes checked={answer} />}
        {!outcome && less.length > 0 ? (
          <label class="check">
            <input type="checkbox" checked={sure} onChange={(event) => setSure(event.currentTarget.checked)} /> This protects less, and that is meant.
          </label>
        ) : null}
        <div class="actions">
          <button type="button" onClick={() => dialog.current.close()}>{outcome ? "Close" : "Not yet"}</button>
          {outcome ? null : <button type="button" class="main" disabled={busy || (less.length > 0 && !sure)} onClick={apply}>{busy ? "Writing …" : "Write and reload"}</button>}
        </div>
      </dialog>
    </>
  );
}

function Outcome({ of }) {
  if (of.ok) {
    const restart = of.needs_restart ?? [];
    return (
      <p class="notice good" role="status">
        Configuration {of.generation} serves.{restart.length > 0 ? ` ${restart.join(", ")}: only after a restart.` : ""}
      </p>
    );
  }
  return (
    <div class="notice bad" role="alert">
      <strong>{of.code === "stale" ? "Somebody else changed the file meanwhile." : of.why}</strong>
      {of.code === "stale" ? <p>Download your text, then discard your changes to read the file again.</p> : null}
      <ul>{of.diagnostics.map((one, at) => <li key={at}>{one.line ? `line ${one.line}: ` : ""}{one.message}</li>)}</ul>
    </div>
  );
}
