// Where the user is: `#/requests?status=5xx`. Behind the hash, so that the admin side serves one page.

import { cell } from "./data/cell.js";

export const place = cell(read());

addEventListener("hashchange", () => place.set(read()));

function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: path || "overview", query: Object.fromEntries(new URLSearchParams(query)) };
}

/** The address of a view. Members without a value are left out. */
export function to(view, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(given).toString();
  return `#/${view}${text ? `?${text}` : ""}`;
}

/** Puts the query of the view that is shown into the address, without a step back to come. */
export function settle(view, query) {
  history.replaceState(null, "", to(view, query));
  place.set(read());
}
