// A request to try: what would become of it, step by step. Nothing is sent to any upstream, and nothing is counted.

import { useState } from "preact/hooks";
import { Copy, Panel } from "../parts/panel.jsx";
import { Explained, explain } from "./explained.jsx";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

export function Explain({ query }) {
  const [form, set] = useState({
    method: query.method || "GET",
    url: query.url || "http://localhost:8080/",
    headers: "",
    body: "",
    ip: query.ip || "",
  });
  const [answer, setAnswer] = useState(null);
  const change = (name) => (event) => set({ ...form, [name]: event.currentTarget.value });
  const wrong = fault(form);
  const ask = (event) => {
    event.preventDefault();
    if (wrong) return;
    setAnswer({});
    explain(asked(form)).then((data) => setAnswer({ data }), (error) => setAnswer({ error }));
  };
  return (
    <>
      <p class="lead">What would become of a request. It is not sent: no service sees it, no limit counts it.</p>
      <div class="columns try">
        <Panel title="Request">
          <form class="fields" onSubmit={ask}>
            <div class="line">
              <label class="small">
                Method
                <select value={form.method} onChange={change("method")}>{METHODS.map((one) => <option key={one}>{one}</option>)}</select>
              </label>
              <label class="grow">
                URL
                <input type="url" required value={form.url} onInput={change("url")} spellcheck={false} autocapitalize="off" />
              </label>
            </div>
            <label>
              Headers, one on a line
              <textarea rows={3} value={form.headers} onInput={change("headers")} placeholder={"Authorization: Bearer …\nAccept: application/json"} spellcheck={false} autocapitalize="off" />
            </label>
            <label>
              Body
              <textarea rows={3} value={form.body} onInput={change("body")} spellcheck={false} autocapitalize="off" />
            </label>
            <label>
              Client address
              <input value={form.ip} onInput={change("ip")} placeholder="127.0.0.1" spellcheck={false} />
            </label>
            {wrong ? <p class="fault" role="alert">{wrong}</p> : null}
            <div class="actions">
              <button type="submit" class="main">Explain</button>
            </div>
          </form>
          <div class="curl">
            <h3>To send it for real</h3>
            <pre tabIndex={0}>{curl(form)}</pre>
            <Copy text={curl(form)}>Copy the command</Copy>
          </div>
        </Panel>
        <Panel title="What would happen">
          {answer ? <Explained answer={answer.data} error={answer.error} /> : <p class="note">Fill in a request, then “Explain”.</p>}
        </Panel>
      </div>
    </>
  );
}

function fault({ url, headers }) {
  if (!URL.canParse(url) || !/^https?:/.test(url)) return "The URL begins with http:// or https://.";
  const bad = lines(headers).find((line) => !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*:/.test(line));
  return bad === undefined ? null : `“${bad}” is no header: name, colon, value.`;
}

const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

const pairs = (headers) => lines(headers).map((line) => [line.slice(0, line.indexOf(":")).trim(), line.slice(line.indexOf(":") + 1).trim()]);

/** The body of `POST /api/v1/explain`. A header that is given twice is a list. */
function asked({ method, url, headers, body, ip }) {
  const all = {};
  for (const [name, value] of pairs(headers)) {
    all[name] = name in all ? [all[name], value].flat() : value;
  }
  return { method, url, headers: all, ...(body ? { body } : {}), ...(ip.trim() ? { ip: ip.trim() } : {}) };
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl({ method, url, headers, body }) {
  const words = ["curl -i"];
  if (method === "HEAD") words[0] = "curl -I";
  else if (method !== (body ? "POST" : "GET")) words.push(`-X ${method}`);
  for (const [name, value] of pairs(headers)) words.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body) words.push(`--data-binary ${quoted(body)}`);
  words.push(quoted(url));
  return words.join(" \\\n  ");
}
