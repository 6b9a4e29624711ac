// A line chart over time. The points come from outside; uPlot draws them.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { useCell } from "../data/cell.js";
import { changed, colour } from "../data/theme.js";

const HEIGHT = 150;
/** Width of the axis of values. */
const AXIS = 58;

/**
 * `rows`: samples with `at` in seconds. `lines`: `[{ key, label, colour, fill }]`. `show` makes a value's text.
 * `incrs`: steps that the axis may take; left out, round numbers.
 * Beside the picture stands the last value of each line, for whoever cannot see it.
 */
export function Chart({ title, note, rows, lines, show, incrs }) {
  const box = useRef(null);
  const plot = useRef(null);
  const colours = useCell(changed);
  useEffect(() => {
    const around = box.current;
    const width = () => Math.max(200, around.clientWidth);
    const drawn = new uPlot(options(lines, show, width(), incrs), points(rows, lines), around);
    plot.current = drawn;
    const resized = new ResizeObserver(() => drawn.setSize({ width: width(), height: HEIGHT }));
    resized.observe(around);
    return () => {
      resized.disconnect();
      drawn.destroy();
    };
  }, [colours]);
  useEffect(() => plot.current?.setData(points(rows, lines)), [rows]);
  const last = rows[rows.length - 1];
  return (
    <section class="panel chart">
      <header>
        <h2>{title}</h2>
        <ul class="legend">
          {lines.map(({ key, label, colour }) => (
            <li key={key}>
              <span class={`swatch colour-${colour}`} aria-hidden="true" />
              {label} <b>{last ? show(last[key]) : "–"}</b>
            </li>
          ))}
        </ul>
      </header>
      <div class="plot" ref={box} aria-hidden="true" />
      {note ? <p class="note">{note}</p> : null}
    </section>
  );
}

function points(rows, lines) {
  return [rows.map((row) => row.at), ...lines.map(({ key }) => rows.map((row) => row[key] ?? null))];
}

function options(lines, show, width, incrs) {
  const text = colour("muted");
  const grid = { stroke: colour("line"), width: 1 };
  const font = '11px system-ui, "Segoe UI", Roboto, sans-serif';
  const axis = { stroke: text, font, grid, gap: 6, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 8, 0, 0],
    scales: { y: { range: (_, low, high) => [0, niceTop(Math.max(high ?? 0, 0))] }, x: { range: spread } },
    axes: [
      { ...axis, space: 90, size: 26, values: (_, splits) => splits.map((at) => new Date(at * 1000).toLocaleTimeString("en-GB")) },
      { ...axis, size: AXIS, space: 30, incrs, values: (_, splits) => splits.map(show) },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.label,
        stroke: colour(line.colour),
        fill: line.fill ? colour(`${line.colour}-fill`) : undefined,
        width: 1.75,
        points: { show: false },
        spanGaps: true,
      })),
    ],
  };
}

/** At least a minute, so that the first points do not race over the whole width. */
function spread(_, from, to) {
  const end = to ?? Date.now() / 1000;
  return [Math.min(from ?? end, end - 60), end];
}

/** The top of the axis: room above the highest point, and never nothing at all. */
function niceTop(high) {
  return high > 0 ? high * 1.15 : 1;
}
