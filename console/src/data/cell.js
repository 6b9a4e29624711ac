// A value that views look at: when it is set, they are drawn again.

import { useEffect, useState } from "preact/hooks";

export function cell(value) {
  const watchers = new Set();
  return {
    get: () => value,
    set(next) {
      if (Object.is(value, next)) return;
      value = next;
      for (const watcher of [...watchers]) watcher(next);
    },
    watch(watcher) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
}

export function useCell(cell) {
  const [value, set] = useState(cell.get());
  useEffect(() => {
    set(() => cell.get());
    return cell.watch((next) => set(() => next));
  }, [cell]);
  return value;
}
