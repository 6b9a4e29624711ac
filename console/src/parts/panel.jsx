// Boxes that views are made of.

/** A part of a view, with its heading. */
export function Panel({ title, aside, children, level = 2 }) {
  const Heading = `h${level}`;
  return (
    <section class="panel">
      {title ? (
        <header>
          <Heading>{title}</Heading>
          {aside}
        </header>
      ) : null}
      {children}
    </section>
  );
}

/** One figure with its name. */
export function Figure({ name, value, note, kind = "" }) {
  return (
    <div class={`figure ${kind}`}>
      <dt>{name}</dt>
      <dd>
        {value}
        {note ? <small>{note}</small> : null}
      </dd>
    </div>
  );
}

/** Names and values, `[[name, value]]`; those without a value are left out. */
export function Facts({ of }) {
  const rows = of.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** How much of something is used, as a bar and in words. */
export function Meter({ value, max, text, label }) {
  const share = max > 0 ? Math.min(1, value / max) : 0;
  const kind = share > 0.9 ? "bad" : share > 0.7 ? "warn" : "good";
  return (
    <div class="meter">
      <meter class={kind} min={0} max={1} value={share} aria-label={label} />
      <span>{text}</span>
    </div>
  );
}

/** A button that copies a text and says that it did. */
export function Copy({ text, children = "Copy" }) {
  const copy = async (event) => {
    const button = event.currentTarget;
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "The browser refused";
    }
    setTimeout(() => (button.textContent = before), 1_500);
  };
  return <button type="button" onClick={copy}>{children}</button>;
}
