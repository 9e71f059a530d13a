/* The moment that the reader points at, shared by plots and the words beside them, without drawing the page anew for each move. */
import { useEffect, useState } from 'preact/hooks';

export class Cursor {
  ms: number | null = null;
  private listeners = new Set<() => void>();

  set(ms: number | null): void {
    if (ms === this.ms) return;
    this.ms = ms;
    for (const fn of this.listeners) fn();
  }
  subscribe(fn: () => void): () => void {
    this.listeners.add(fn);
    return () => void this.listeners.delete(fn);
  }
}

export function useCursor(c: Cursor): number | null {
  const [ms, set] = useState(c.ms);
  useEffect(() => {
    set(c.ms);
    return c.subscribe(() => set(c.ms));
  }, [c]);
  return ms;
}
