/* A pair's steps on a regular axis of time. A step that is not stored is null, and stays a hole whoever draws it. Pure. */

export interface Grid<S> {
  stepMs: number;
  startMs: number; // begin of the first step
  steps: (S | null)[];
  mids: number[]; // the middle of each step, in seconds: what the plots' axis counts
}

/* Steps lie at whole multiples of their length since 1970, UTC. A session that began within one starts later: it belongs there. */
export function toGrid<S>(steps: readonly S[], at: (s: S) => number | null, fromMs: number, toMs: number, stepMs: number): Grid<S> {
  const first = Math.floor(fromMs / stepMs) * stepMs;
  const n = Math.min(20_000, Math.max(1, Math.ceil((toMs - first) / stepMs)));
  const out: (S | null)[] = new Array<S | null>(n).fill(null);
  for (const s of steps) {
    const ms = at(s);
    const i = ms === null ? -1 : Math.floor((ms - first) / stepMs);
    if (i >= 0 && i < n) out[i] = s;
  }
  const mids = out.map((_, i) => (first + (i + 0.5) * stepMs) / 1000);
  return { stepMs, startMs: first, steps: out, mids };
}

export function pick<S>(grid: Grid<S>, value: (s: S) => number | null | undefined): (number | null)[] {
  return grid.steps.map((s) => (s === null ? null : (value(s) ?? null)));
}

/* What was at the same time before, on the grid of now: both grids have the same step and the same span, shifted. */
export function shifted<S>(grid: Grid<unknown>, before: Grid<S>, shiftMs: number): (S | null)[] {
  return grid.steps.map((_, i) => {
    const ms = grid.startMs + (i + 0.5) * grid.stepMs - shiftMs;
    return before.steps[Math.floor((ms - before.startMs) / before.stepMs)] ?? null;
  });
}

export interface Stretch {
  startMs: number;
  endMs: number;
}

/* Stretches of steps for which `is` holds, and whether they reach the ends of the grid. */
export function stretches<S>(grid: Grid<S>, is: (s: S | null, i: number) => boolean): Stretch[] {
  const out: Stretch[] = [];
  let open: Stretch | null = null;
  grid.steps.forEach((s, i) => {
    const startMs = grid.startMs + i * grid.stepMs;
    if (!is(s, i)) open = null;
    else if (open) open.endMs = startMs + grid.stepMs;
    else out.push((open = { startMs, endMs: startMs + grid.stepMs }));
  });
  return out;
}

export function indexAt(grid: Grid<unknown>, ms: number): number | null {
  const i = Math.floor((ms - grid.startMs) / grid.stepMs);
  return i >= 0 && i < grid.steps.length ? i : null;
}

/* The last step that has anything. */
export function lastIndex(grid: Grid<unknown>): number | null {
  for (let i = grid.steps.length - 1; i >= 0; i--) if (grid.steps[i] !== null) return i;
  return null;
}

export function extent(lists: readonly (readonly (number | null)[])[]): [number, number] | null {
  let low = Infinity;
  let high = -Infinity;
  for (const list of lists)
    for (const v of list) {
      if (v === null) continue;
      if (v < low) low = v;
      if (v > high) high = v;
    }
  return low <= high ? [low, high] : null;
}
