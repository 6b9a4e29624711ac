// The frame: name and state of the gateway, the views, the theme, the token.

import { useEffect, useRef, useState } from "preact/hooks";
import { forgetToken, giveToken, hasToken, reached, wanted } from "./data/api.js";
import { useCell } from "./data/cell.js";
import { health } from "./data/live.js";
import { nextTheme, theme } from "./data/theme.js";
import { ago, span } from "./data/format.js";
import { State } from "./parts/state.jsx";
import { to } from "./place.js";

export function Frame({ views, shown, children }) {
  const asked = useCell(wanted);
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={skip}>Skip to the content</a>
      <header class="side">
        <div class="brand">
          <Mark />
          <span class="name">Tollgate</span>
          <Theme />
        </div>
        <Views views={views} shown={shown} />
        <Standing />
      </header>
      <main id="main" tabIndex={-1}>
        {asked === null ? <Notices /> : null}
        {asked === null ? children : <TokenForm told={asked} />}
      </main>
    </div>
  );
}

/** The views; on a narrow screen a strip, in which the one that is shown comes into sight. */
function Views({ views, shown }) {
  const list = useRef(null);
  useEffect(() => {
    list.current.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [shown]);
  return (
    <nav aria-label="Views">
      <ul ref={list}>
        {views.map(({ id, title }) => (
          <li key={id}>
            <a href={to(id)} aria-current={id === shown ? "page" : undefined}>{title}</a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

// The address behind the hash names a view, so the link cannot name the content.
function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" class="mark-ground" />
      <path d="M7 24V11M25 24V11M7 14.5h18" class="mark-gate" />
      <path d="M12 20.5h8" class="mark-bar" />
    </svg>
  );
}

function Theme() {
  const choice = useCell(theme);
  return (
    <button type="button" class="quiet theme" onClick={nextTheme} aria-label={`Theme: ${choice}. Change it`} title={`Theme: ${choice}`}>
      <svg viewBox="0 0 20 20" aria-hidden="true">
        <circle cx="10" cy="10" r="7" class="theme-ring" />
        <path d={choice === "light" ? "" : choice === "dark" ? "M10 3a7 7 0 1 1 0 14a7 7 0 1 1 0-14" : "M10 3a7 7 0 0 1 0 14z"} class="theme-fill" />
      </svg>
    </button>
  );
}

/** What runs, at the foot of the side. */
function Standing() {
  const state = useCell(health);
  if (!state) return <p class="standing" />;
  return (
    <div class="standing">
      <State of={state.status} />
      <dl>
        <dt>Version</dt>
        <dd>{state.version}</dd>
        <dt>Up</dt>
        <dd>{span(state.uptime_s)}</dd>
        <dt>Configuration</dt>
        <dd>{state.generation}</dd>
      </dl>
      {hasToken() ? <button type="button" class="quiet" onClick={forgetToken}>Sign out</button> : null}
    </div>
  );
}

/** What an operator must not overlook, whichever view is open. */
function Notices() {
  const there = useCell(reached);
  const state = useCell(health);
  const reload = state?.last_reload;
  return (
    <>
      {there ? null : <p class="notice bad" role="alert">The gateway does not answer. What is shown is what it said last.</p>}
      {reload && !reload.ok ? (
        <div class="notice bad" role="alert">
          <strong>The last reload was refused {ago(reload.at)}; the old configuration goes on.</strong>
          <ul>
            {reload.errors.slice(0, 5).map((one, at) => (
              <li key={at}>
                {one.file ? <code>{one.file}:{one.line}</code> : null} {one.message}
              </li>
            ))}
          </ul>
        </div>
      ) : null}
    </>
  );
}

function TokenForm({ told }) {
  const [token, set] = useState("");
  const give = (event) => {
    event.preventDefault();
    if (token.trim() !== "") giveToken(token.trim());
  };
  return (
    <form class="panel token" onSubmit={give}>
      <h1>Admin token</h1>
      <p>This gateway asks for its admin token (<code>admin.token</code>). It is kept in this tab until you close it.</p>
      <label>
        Token
        <input type="password" autocomplete="current-password" value={token} onInput={(event) => set(event.currentTarget.value)} />
      </label>
      {told ? <p class="fault" role="alert">{told}</p> : null}
      <button type="submit" class="main">Open</button>
    </form>
  );
}
