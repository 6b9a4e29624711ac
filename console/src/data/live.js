// What every view shares, asked for again and again while the page is visible.

import { useEffect, useState } from "preact/hooks";
import { getJson, getText, tokens, wanted } from "./api.js";
import { cell, useCell } from "./cell.js";
import { SAMPLES_MAX, noteTargets, reading, sample } from "./history.js";
import { parse } from "./metrics.js";

/** Between two scrapes. */
export const EVERY_MS = 2_000;

export const health = cell(null);
export const readings = cell([]);
export const samples = cell([]);
export const targetStates = cell({});
/** The metrics themselves, of the last scrape. */
export const families = cell(null);

/** Asks now, and then every two seconds for as long as the page is open. */
export async function watch() {
  for (;;) {
    if (wanted.get() === null) await look().catch(() => {});
    await pause(document.hidden ? EVERY_MS * 5 : EVERY_MS);
  }
}

async function look() {
  const [text, state] = await Promise.all([getText("/metrics"), getJson("/health")]);
  const at = Date.now();
  const scraped = parse(text);
  const all = [...readings.get(), reading(scraped, at)].slice(-SAMPLES_MAX);
  const next = sample(all);
  families.set(scraped);
  readings.set(all);
  if (next) samples.set([...samples.get(), next].slice(-SAMPLES_MAX));
  targetStates.set(noteTargets(targetStates.get(), state, at));
  health.set(state);
}

/** Waits, or until a token was given. */
const pause = (ms) =>
  new Promise((done) => {
    const stop = tokens.watch(() => end());
    const timer = setTimeout(() => end(), ms);
    function end() {
      clearTimeout(timer);
      stop();
      done();
    }
  });

/** A path's JSON while a view is shown: `{ data, error, again }`, asked anew every `every` milliseconds (0: once). */
export function useAsked(path, every = 0) {
  const [state, set] = useState({ data: null, error: null });
  const [turn, setTurn] = useState(0);
  const token = useCell(tokens);
  useEffect(() => {
    const stop = new AbortController();
    let timer;
    const ask = async () => {
      try {
        const data = await getJson(path, { signal: stop.signal });
        set({ data, error: null });
      } catch (error) {
        if (stop.signal.aborted) return;
        set((old) => ({ ...old, error }));
      }
      if (every > 0 && !stop.signal.aborted) timer = setTimeout(ask, every);
    };
    ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [path, every, turn, token]);
  return { ...state, again: () => setTurn((old) => old + 1) };
}
