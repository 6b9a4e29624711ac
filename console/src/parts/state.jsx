// Small marks that say how something is. Never by colour alone: each has a word or a sign.

const KINDS = {
  ok: "good", up: "good", closed: "good", calm: "good", true: "good", ready: "good",
  degraded: "warn", half_open: "warn", tight: "warn", stale: "warn", unknown: "idle",
  down: "bad", open: "bad", full: "bad", failed: "bad", false: "bad",
};

/** A word with a dot of its colour. */
export function State({ of, children }) {
  const word = String(of ?? "unknown");
  return <span class={`state ${KINDS[word] ?? "idle"}`}>{children ?? word.replace("_", " ")}</span>;
}

/** A short text in a frame; `kind` is good, warn, bad or none. */
export function Tag({ kind = "", children, title }) {
  return <span class={`tag ${kind}`} title={title}>{children}</span>;
}

/** An HTTP status. */
export function Status({ code }) {
  const kind = code >= 500 ? "bad" : code >= 400 ? "warn" : code >= 300 ? "idle" : "good";
  return <span class={`code ${kind}`}>{code}</span>;
}

/** What stands where there is nothing to show. */
export function Empty({ title, children }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children ? <p>{children}</p> : null}
    </div>
  );
}

/** What stands where something could not be had; nothing while it is on its way. */
export function Trouble({ error }) {
  if (!error) return null;
  return <p class="notice bad" role="alert">{error.message}</p>;
}
