/* What lines and bars mean, with their values where the reader points (or of the newest step). */
import { indexAt, lastIndex, type Grid } from '../../plot/grid';
import { useCursor, type Cursor } from '../../plot/cursor';
import { clockText, eventLook, measured, type Gap, type SeriesGrid } from './model';
import type { TimelineEvent } from './types';
import { clock, millis, percent, word } from '../../format';

export type Swatch = 'p50' | 'p95' | 'p99' | 'before' | 'forward' | 'backward' | 'unknown' | 'lost';

export interface KeyOf {
  swatch: Swatch;
  label: string;
  value: (i: number) => string;
}

export function Keys(p: { grid: Grid<unknown>; cursor: Cursor; keys: readonly KeyOf[] }) {
  const at = pointed(p.grid, useCursor(p.cursor));
  return (
    <dl class="keys">
      {p.keys.map((k) => (
        <div key={k.label}>
          <dt>
            <span class={`swatch swatch-${k.swatch}`} aria-hidden="true" /> {k.label}
          </dt>
          <dd>{at === null ? '-' : k.value(at)}</dd>
        </div>
      ))}
    </dl>
  );
}

function pointed(grid: Grid<unknown>, ms: number | null): number | null {
  return ms === null ? lastIndex(grid) : indexAt(grid, ms);
}

/* One step in words. */
export function stepWords(grid: SeriesGrid, gaps: readonly Gap[], events: readonly TimelineEvent[], ms: number, nowMs: number): string {
  const i = indexAt(grid, ms);
  if (i === null) return `${clock(ms, nowMs)}: not loaded`;
  const start = grid.startMs + i * grid.stepMs;
  const s = grid.steps[i] ?? null;
  const gap = gaps.find((g) => ms >= g.startMs && ms < g.endMs);
  const parts: string[] = [];
  if (gap) parts.push(gap.pending ? 'not there yet' : `no data: ${gap.cause}`);
  else if (measured(s)) {
    parts.push(s.lost ? `${s.lost} of ${s.sent} probes lost, ${percent(s.loss_ratio)}` : `all ${s.sent} probes came back`);
    parts.push(`one-way delay ${clockText(s)}`);
    if (s.host_trouble && s.host_trouble !== 'none') parts.push(`host trouble: ${word(s.host_trouble)}`);
  }
  for (const e of events) {
    const at = millis(e.at) ?? 0;
    const until = e.ongoing ? Infinity : (millis(e.until) ?? at);
    if (at < start + grid.stepMs && Math.max(until, at) >= start) parts.push(`${eventLook(e.kind).word}: ${e.title}`);
  }
  return `${clock(start, nowMs)}: ${parts.join(' \u00b7 ')}`;
}

export function Readout(p: { grid: SeriesGrid; gaps: readonly Gap[]; events: readonly TimelineEvent[]; cursor: Cursor; nowMs: number }) {
  const ms = useCursor(p.cursor);
  const last = lastIndex(p.grid);
  const at = ms ?? (last === null ? null : p.grid.startMs + (last + 0.5) * p.grid.stepMs);
  return (
    <p class="readout">
      <strong>{ms === null ? 'Newest' : 'At'}</strong> {at === null ? 'nothing' : stepWords(p.grid, p.gaps, p.events, at, p.nowMs)}
    </p>
  );
}
