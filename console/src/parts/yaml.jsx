// A value as YAML, to be read.

import { stringify } from "yaml";

export function Yaml({ value, label }) {
  return (
    <details class="written" open>
      <summary>{label}</summary>
      <pre tabIndex={0}>{stringify(value, { lineWidth: 100 })}</pre>
    </details>
  );
}
