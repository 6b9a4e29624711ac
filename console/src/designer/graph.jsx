// The graph of an aggregate, drawn. With `choose` its parts can be chosen, by pointer and by keyboard.

import { NODE, layout } from "./graph.js";

export function Graph({ aggregate, chosen, choose }) {
  const { nodes, edges, width, height } = layout(aggregate);
  const at = Object.fromEntries(nodes.map((node) => [node.id, node]));
  return (
    <div class="graph" role="region" aria-label="Parts of the aggregate" tabIndex={0}>
      <svg viewBox={`-4 -4 ${width + 8} ${height + 8}`} width={width + 8} height={height + 8} role="group" aria-label={told(nodes, edges, at)}>
        {edges.map(({ from, to, via }) => <path key={`${from} ${to}`} d={line(at[from], at[to], via)} class="edge" />)}
        {nodes.map((node) => <Node key={node.id} node={node} chosen={node.index !== undefined && node.index === chosen} choose={choose} />)}
      </svg>
    </div>
  );
}

function Node({ node, chosen, choose }) {
  const can = choose && node.kind === "part";
  const press = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose(node.index);
  };
  // `tabindex` in small letters: in SVG it is an attribute, and attributes have one spelling.
  const asButton = can ? { role: "button", tabindex: 0, "aria-pressed": chosen, "aria-label": `Part ${node.title}`, onClick: () => choose(node.index), onKeyDown: press } : {};
  return (
    <g transform={`translate(${node.x} ${node.y})`} class={`node ${node.kind} ${chosen ? "chosen" : ""}`} {...asButton}>
      <rect width={NODE.width} height={NODE.height} rx="8" />
      <text x="12" y={node.marks ? 19 : 25} class="node-title">{cut(node.title, 22)}</text>
      <text x="12" y={node.marks ? 35 : 42} class="node-text">{cut(node.text, 23)}</text>
      {node.marks ? <text x="12" y="50" class="node-marks">{cut(node.marks, 28)}</text> : null}
      <title>{`${node.title}: ${node.text}`}</title>
    </g>
  );
}

const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

/** From a node's right edge to another's left one, straight through the places in between. */
function line(from, to, via) {
  const middle = ({ y }) => y + NODE.height / 2;
  let path = `M${from.x + NODE.width} ${middle(from)}`;
  let [x, y] = [from.x + NODE.width, middle(from)];
  for (const stop of [...via, to]) {
    const bend = Math.max(24, (stop.x - x) / 2);
    path += `C${x + bend} ${y} ${stop.x - bend} ${middle(stop)} ${stop.x} ${middle(stop)}`;
    [x, y] = [stop.x + NODE.width, middle(stop)];
    if (stop !== to) path += `H${x}`;
  }
  return path;
}

function told(nodes, edges, at) {
  const needs = edges.filter(({ from, to }) => from !== "request" && to !== "answer");
  const said = needs.map(({ from, to }) => `${at[to].title} needs ${at[from].title}`);
  return `${nodes.length - 2} parts. ${said.join("; ") || "All run at once"}.`;
}
