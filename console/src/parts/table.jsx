// A table that becomes a list of cards where the screen is narrow: each cell then carries its column's name.

import { useState } from "preact/hooks";

/**
 * `columns`: `[{ title, cell(row), by(row), number }]`; `by` makes a column sortable. `open(row)`: the row can be
 * chosen, by pointer and by keyboard; `chosen` is the key of the one that is.
 */
export function Table({ caption, columns, rows, keyOf, open, chosen, empty }) {
  const [order, set] = useState(null);
  const sorted = order ? sort(rows, columns[order.at].by, order.down) : rows;
  if (rows.length === 0) return empty;
  return (
    <div class="table" role="region" aria-label={caption} tabIndex={0}>
      <table>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column, at) => (
              <th key={column.title} scope="col" class={column.number ? "number" : undefined} aria-sort={sorting(order, at)}>
                {column.by ? (
                  <button type="button" class="sort" onClick={() => set({ at, down: order?.at === at ? !order.down : Boolean(column.number) })}>
                    {column.title}
                  </button>
                ) : (
                  column.title
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.map((row) => (
            <Row key={keyOf(row)} row={row} columns={columns} open={open} chosen={chosen !== undefined && chosen === keyOf(row)} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ row, columns, open, chosen }) {
  return (
    <tr class={`${open ? "can-open" : ""} ${chosen ? "chosen" : ""}`} onClick={open ? (event) => clicked(event, row, open) : undefined}>
      {columns.map((column, at) => {
        const shown = column.cell(row);
        return (
          <td key={column.title} data-title={column.title} class={`${column.number ? "number" : ""} ${shown === "–" ? "none" : ""}`}>
            {at === 0 && open ? <button type="button" class="open" aria-expanded={chosen} onClick={() => open(row)}>{shown}</button> : shown}
          </td>
        );
      })}
    </tr>
  );
}

/** A click anywhere in the row, but not on something that can be clicked itself, and not at the end of a selection. */
function clicked(event, row, open) {
  if (event.target.closest("a, button") || String(getSelection()) !== "") return;
  open(row);
}

const sorting = (order, at) => (order?.at === at ? (order.down ? "descending" : "ascending") : undefined);

function sort(rows, by, down) {
  const sign = down ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [x, y] = [by(a), by(b)];
    return sign * (typeof x === "string" ? x.localeCompare(y) : (x ?? -1) - (y ?? -1));
  });
}
