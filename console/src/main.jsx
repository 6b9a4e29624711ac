// The console: which view the address names, and the frame around all of them.

import "uplot/dist/uPlot.min.css";
import "./style/base.css";
import "./style/frame.css";
import "./style/parts.css";
import "./style/designer.css";

import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useCell } from "./data/cell.js";
import { watch } from "./data/live.js";
import { beginTheme } from "./data/theme.js";
import { Frame } from "./frame.jsx";
import { place } from "./place.js";
import { Designer } from "./designer/designer.jsx";
import { Explain } from "./views/explain.jsx";
import { Issuers } from "./views/issuers.jsx";
import { Limits } from "./views/limits.jsx";
import { Overview } from "./views/overview.jsx";
import { Requests } from "./views/requests.jsx";
import { Routes } from "./views/routes.jsx";
import { Upstreams } from "./views/upstreams.jsx";

const VIEWS = [
  { id: "overview", title: "Overview", view: Overview },
  { id: "requests", title: "Requests", view: Requests },
  { id: "routes", title: "Routes", view: Routes },
  { id: "upstreams", title: "Upstreams", view: Upstreams },
  { id: "limits", title: "Limits", view: Limits },
  { id: "issuers", title: "Issuers", view: Issuers },
  { id: "try", title: "Try a request", view: Explain },
  { id: "designer", title: "Designer", view: Designer },
];

function Console() {
  const { view, query } = useCell(place);
  const shown = VIEWS.find((one) => one.id === view) ?? VIEWS[0];
  const heading = useRef(null);
  const first = useRef(true);
  useEffect(() => {
    document.title = `${shown.title} · Tollgate`;
    // Who navigates by keyboard or by ear goes on at the view's beginning; the first view is not announced twice.
    if (!first.current) heading.current?.focus();
    first.current = false;
  }, [shown.id]);
  return (
    <Frame views={VIEWS} shown={shown.id}>
      <h1 ref={heading} tabIndex={-1}>{shown.title}</h1>
      <shown.view query={query} />
    </Frame>
  );
}

beginTheme();
watch();
const root = document.getElementById("app");
root.replaceChildren();
render(<Console />, root);
