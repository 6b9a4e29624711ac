// Light or dark: as the system says, unless the user chose; the choice is kept in this browser.

import { cell } from "./cell.js";

const KEY = "tollgate-theme";
const CHOICES = ["system", "light", "dark"];

export const theme = cell("system");

export function beginTheme() {
  apply(read());
  const system = matchMedia("(prefers-color-scheme: dark)");
  // Charts are painted with colours that are asked for: tell them that these are others now.
  system.addEventListener("change", () => changed.set(changed.get() + 1));
}

/** Counts changes of the colours. */
export const changed = cell(0);

export function nextTheme() {
  const next = CHOICES[(CHOICES.indexOf(theme.get()) + 1) % CHOICES.length];
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // A browser that keeps nothing keeps no theme either.
  }
  apply(next);
}

function read() {
  try {
    const kept = localStorage.getItem(KEY);
    return CHOICES.includes(kept) ? kept : "system";
  } catch {
    return "system";
  }
}

function apply(choice) {
  document.documentElement.dataset.theme = choice;
  theme.set(choice);
  changed.set(changed.get() + 1);
}

/** A colour of the style sheet as the canvas understands it. */
export function colour(name) {
  const probe = document.createElement("span");
  probe.className = `colour-${name}`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
