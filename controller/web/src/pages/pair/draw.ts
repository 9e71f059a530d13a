/* What is drawn by hand in the plots of a pair. */
import { millis } from '../../format';
import type { Outage } from '../../api/types';
import type { Draw } from '../../plot/Plot';
import type { Grid, Stretch } from '../../plot/grid';
import { clockOf, eventLook, measured, number, tosText, type Gap, type SeriesGrid } from './model';
import type { Heat, Numbers, TimelineEvent } from './types';

/* ---- heat ---- */

export interface HeatCells {
  low: Float64Array; // bounds of each row in seconds
  high: Float64Array;
  columns: (readonly number[] | null)[]; // on the grid
  most: number; // probes in the fullest cell
}

/* Columns belong to the steps of the answer, which lie on the grid wherever there was something. */
export function heatCells(heat: Heat, steps: readonly Numbers[], grid: SeriesGrid): HeatCells {
  const n = heat.bounds_ns.length;
  const low = new Float64Array(n);
  const high = new Float64Array(n);
  heat.bounds_ns.forEach(([a, b], i) => {
    low[i] = Math.min(a, b) / 1e9; // below zero they are the other way round
    high[i] = Math.max(a, b) / 1e9;
  });
  const columns: (readonly number[] | null)[] = grid.steps.map(() => null);
  let most = 0;
  heat.columns.forEach((column, i) => {
    const ms = millis(steps[i]?.start);
    const at = ms === null ? -1 : Math.floor((ms - grid.startMs) / grid.stepMs);
    if (at < 0 || at >= columns.length) return;
    columns[at] = column;
    for (let k = 1; k < column.length; k += 2) most = Math.max(most, column[k] ?? 0);
  });
  return { low, high, columns, most };
}

/* The rows that hold anything, as a range of delays. */
export function heatRange(h: HeatCells): [number, number] | null {
  let low = Infinity;
  let high = -Infinity;
  for (const column of h.columns)
    for (let k = 0; column && k < column.length; k += 2) {
      const row = column[k] ?? 0;
      low = Math.min(low, h.low[row] ?? Infinity);
      high = Math.max(high, h.high[row] ?? -Infinity);
    }
  return low < high ? [low, high] : null;
}

/* Few probes are to be seen beside many: shades go by the logarithm. */
export function shade(count: number, most: number, shades: number): number {
  if (most <= 1) return shades - 1;
  return Math.min(shades - 1, Math.floor((Math.log(count) / Math.log(most)) * (shades - 0.01)));
}

export function drawHeat(d: Draw, h: HeatCells, grid: SeriesGrid): void {
  const edges = Array.from(h.low, (v, i) => [d.y(v), d.y(h.high[i] ?? v)] as const);
  h.columns.forEach((column, i) => {
    if (!column) return;
    const [a, b] = stepEdges(d, grid, i);
    if (b < d.left || a > d.left + d.width) return;
    for (let k = 0; k + 1 < column.length; k += 2) {
      const edge = edges[column[k] ?? -1];
      const count = column[k + 1] ?? 0;
      if (!edge || count <= 0) continue;
      d.ctx.fillStyle = d.c.shades[shade(count, h.most, d.c.shades.length)] ?? d.c.accent;
      const top = Math.round(edge[1]);
      d.ctx.fillRect(a, top, Math.max(1, b - a), Math.max(d.ratio, Math.round(edge[0]) - top));
    }
  });
}

function stepEdges(d: Draw, grid: Grid<unknown>, i: number): [number, number] {
  const a = Math.round(d.x((grid.startMs + i * grid.stepMs) / 1000));
  return [a, Math.round(d.x((grid.startMs + (i + 1) * grid.stepMs) / 1000))];
}

/* ---- holes and what is not valid ---- */

const patterns = new WeakMap<CanvasRenderingContext2D, Map<string, CanvasPattern>>();

function hatch(d: Draw, color: string, gap: number, back: boolean): CanvasPattern | string {
  const key = `${color} ${gap} ${back} ${d.ratio}`;
  const known = patterns.get(d.ctx) ?? new Map<string, CanvasPattern>();
  patterns.set(d.ctx, known);
  const had = known.get(key);
  if (had) return had;
  const size = Math.max(4, Math.round(gap * d.ratio));
  const tile = document.createElement('canvas');
  tile.width = tile.height = size;
  const t = tile.getContext('2d');
  if (!t) return color;
  t.strokeStyle = color;
  t.lineWidth = d.ratio;
  t.beginPath();
  for (const o of [-size, 0, size]) {
    t.moveTo(back ? o : o + size, 0);
    t.lineTo(back ? o + size : o, size);
  }
  t.stroke();
  const made = d.ctx.createPattern(tile, 'repeat');
  if (!made) return color;
  known.set(key, made);
  return made;
}

export function drawGaps(d: Draw, gaps: readonly Gap[], words: boolean): void {
  for (const g of gaps) {
    const a = Math.max(d.left, d.x(g.startMs / 1000));
    const b = Math.min(d.left + d.width, d.x(g.endMs / 1000));
    if (b <= a) continue;
    d.ctx.fillStyle = hatch(d, d.c.line, g.pending ? 14 : 7, false);
    d.ctx.fillRect(a, d.top, Math.max(d.ratio, b - a), d.height);
    if (words && !g.pending) boxedText(d, g.cause === 'not scheduled then' ? g.cause : `no data: ${g.cause}`, a, b, d.top + d.height / 2);
  }
}

/* Words over a drawing, only where they have room: level, or else upright. */
function boxedText(d: Draw, text: string, a: number, b: number, y: number): void {
  d.ctx.font = font(d, 11);
  const w = d.ctx.measureText(text).width + 8 * d.ratio;
  const h = 18 * d.ratio;
  const level = w + 4 * d.ratio <= b - a;
  if (!level && (h > b - a || w > d.height)) return;
  d.ctx.save();
  d.ctx.translate((a + b) / 2, level ? y : d.top + d.height / 2);
  if (!level) d.ctx.rotate(-Math.PI / 2);
  d.ctx.fillStyle = d.c.panel;
  d.ctx.fillRect(-w / 2, -h / 2, w, h);
  d.ctx.fillStyle = d.c.dim;
  d.ctx.textAlign = 'center';
  d.ctx.textBaseline = 'middle';
  d.ctx.fillText(text, 0, 0);
  d.ctx.restore();
}

const font = (d: Draw, px: number) => `${px * d.ratio}px ${getComputedStyle(document.body).fontFamily}`;

/* One-way delays that must not be taken at face value are there, behind bars. */
export function drawInvalid(d: Draw, bad: readonly Stretch[]): void {
  for (const s of bad) {
    const a = Math.max(d.left, d.x(s.startMs / 1000));
    const b = Math.min(d.left + d.width, d.x(s.endMs / 1000));
    if (b <= a) continue;
    d.ctx.fillStyle = hatch(d, d.c.warning, 9, true);
    d.ctx.globalAlpha = 0.55;
    d.ctx.fillRect(a, d.top, Math.max(d.ratio, b - a), d.height);
    d.ctx.globalAlpha = 1;
    boxedText(d, 'not valid: clocks', a, b, d.top + 12 * d.ratio);
  }
}

/* ---- loss ---- */

export function lossRatio(s: Numbers | null, key: 'lost' | 'lost_forward' | 'lost_backward' | 'lost_unknown'): number | null {
  return measured(s) && s.sent ? s[key]! / s.sent : null;
}

export function drawLoss(d: Draw, grid: SeriesGrid): void {
  grid.steps.forEach((s, i) => {
    if (!measured(s) || !s.lost) return;
    const [a, b] = stepEdges(d, grid, i);
    const w = Math.max(d.ratio * 2, b - a - (b - a > 4 * d.ratio ? d.ratio : 0));
    let base = 0;
    for (const [key, color] of [['lost_forward', d.c.forward], ['lost_backward', d.c.backward], ['lost_unknown', d.c.unknown]] as const) {
      const part = lossRatio(s, key) ?? 0;
      if (part <= 0) continue;
      const y0 = d.y(base);
      base += part;
      const y1 = d.y(base);
      const top = Math.min(y1, y0 - d.ratio);
      d.ctx.fillStyle = color;
      d.ctx.fillRect(a, top, w, y0 - top);
      if (key !== 'lost_unknown') continue;
      d.ctx.fillStyle = hatch(d, d.c.panel, 5, false);
      d.ctx.fillRect(a, top, w, y0 - top);
    }
  });
}

/* One value a step, as bars. */
export function drawBars(d: Draw, grid: Grid<unknown>, values: readonly (number | null)[]): void {
  d.ctx.fillStyle = d.c.critical;
  values.forEach((v, i) => {
    if (!v) return;
    const [a, b] = stepEdges(d, grid, i);
    const top = Math.min(d.y(v), d.y(0) - d.ratio);
    d.ctx.fillRect(a, top, Math.max(d.ratio * 2, b - a), d.y(0) - top);
  });
}

const RUN_SIGNS: Record<string, string> = { forward: '\u25b2', backward: '\u25bc', mixed: '\u25c6', unknown: '?' };
export const runSign = (direction: string): string => RUN_SIGNS[direction] ?? '?';

/* Loss runs: a bar as long as the run at the upper edge, with the sign of its direction. */
export function drawRuns(d: Draw, runs: readonly Outage[]): void {
  const h = 4 * d.ratio;
  let free = -Infinity; // where the last sign ended
  for (const o of [...runs].reverse()) {
    const from = (millis(o.start) ?? 0) / 1000;
    const a = d.x(from);
    const b = Math.max(a + 2 * d.ratio, d.x((millis(o.end) ?? from * 1000) / 1000));
    if (b < d.left || a > d.left + d.width) continue;
    d.ctx.fillStyle = o.direction === 'forward' ? d.c.forward : o.direction === 'backward' ? d.c.backward : d.c.text;
    d.ctx.fillRect(a, d.top, b - a, h);
    if (a < free) continue;
    d.ctx.font = font(d, 10);
    d.ctx.textAlign = 'left';
    d.ctx.textBaseline = 'top';
    const w = d.ctx.measureText(runSign(o.direction)).width;
    d.ctx.fillText(runSign(o.direction), Math.max(d.left, a - w / 2), d.top + h + d.ratio);
    free = a + w;
  }
}

/* ---- events ---- */

export function severityColor(d: Draw, e: TimelineEvent): string {
  return e.severity === 'critical' ? d.c.critical : e.severity === 'warning' ? d.c.warning : e.kind === 'maintenance' ? d.c.off : d.c.info;
}

/* Thin lines through a plot where something happened. */
export function drawEventLines(d: Draw, events: readonly TimelineEvent[]): void {
  d.ctx.lineWidth = d.ratio;
  d.ctx.setLineDash([3 * d.ratio, 3 * d.ratio]);
  for (const e of events.slice(0, 200)) {
    const x = Math.round(d.x((millis(e.at) ?? 0) / 1000)) + 0.5;
    if (x < d.left || x > d.left + d.width) continue;
    d.ctx.strokeStyle = severityColor(d, e);
    d.ctx.beginPath();
    d.ctx.moveTo(x, d.top);
    d.ctx.lineTo(x, d.top + d.height);
    d.ctx.stroke();
  }
  d.ctx.setLineDash([]);
}

export const LANES = ['data', 'clocks', 'DSCP \u2192', 'DSCP \u2190', 'events'] as const;
export const LANE_HEIGHT = 20;

/* Lanes are counted from above; the axis counts from below. */
const laneBox = (d: Draw, lane: number): [number, number] => {
  const h = d.height / LANES.length;
  return [d.top + lane * h + 2 * d.ratio, h - 4 * d.ratio];
};

export function drawLanes(d: Draw, grid: SeriesGrid, events: readonly TimelineEvent[]): void {
  const [dataTop, h] = laneBox(d, 0);
  const [clockTop] = laneBox(d, 1);
  grid.steps.forEach((s, i) => {
    if (s === null) return;
    const [a, b] = stepEdges(d, grid, i);
    if (b < d.left || a > d.left + d.width) return;
    const w = Math.max(1, b - a);
    const all = measured(s) && s.received === 0;
    if (measured(s) || (number(s, 'send_errors') ?? 0) > 0) {
      d.ctx.fillStyle = !measured(s) || all ? d.c.critical : s.lost ? d.c.warning : d.c.ok;
      const part = all || !measured(s) ? 1 : s.lost ? 0.7 : 0.4; // the worse the higher
      d.ctx.fillRect(a, dataTop + h * (1 - part), w, h * part);
      if (s.host_trouble && s.host_trouble !== 'none') {
        d.ctx.fillStyle = d.c.text; // the host's own trouble: a rim below
        d.ctx.fillRect(a, dataTop + h - 2 * d.ratio, w, 2 * d.ratio);
      }
    }
    const clock = clockOf(s);
    if (clock === 'none') return;
    d.ctx.fillStyle = clock === 'valid' ? d.c.ok : hatch(d, d.c.warning, 5, true);
    d.ctx.fillRect(a, clockTop + (clock === 'valid' ? h * 0.6 : 0), w, clock === 'valid' ? h * 0.4 : h);
  });
  drawMarking(d, grid, 'forward', 2);
  drawMarking(d, grid, 'backward', 3);
  drawEvents(d, events, 4);
}

/* One box for each stretch with the same marking, with its name. */
function drawMarking(d: Draw, grid: SeriesGrid, way: 'forward' | 'backward', lane: number): void {
  const [top, h] = laneBox(d, lane);
  let text: string | null = null;
  let from = 0;
  let nth = 0;
  const end = (to: number) => {
    if (text === null) return;
    const a = stepEdges(d, grid, from)[0];
    const b = stepEdges(d, grid, to - 1)[1];
    d.ctx.fillStyle = d.c.shades[nth++ % 2 ? 2 : 0] ?? d.c.off;
    d.ctx.fillRect(a, top, Math.max(1, b - a), h);
    const left = Math.max(a, d.left) + 4 * d.ratio;
    d.ctx.font = font(d, 11);
    if (d.ctx.measureText(text).width + 8 * d.ratio > Math.min(b, d.left + d.width) - left + 4 * d.ratio) return;
    d.ctx.fillStyle = d.c.text;
    d.ctx.textAlign = 'left';
    d.ctx.textBaseline = 'middle';
    d.ctx.fillText(text, left, top + h / 2);
  };
  grid.steps.forEach((s, i) => {
    const now = tosText(s, way);
    if (now === text) return;
    end(i);
    text = now;
    from = i;
  });
  end(grid.steps.length);
}

function drawEvents(d: Draw, events: readonly TimelineEvent[], lane: number): void {
  const [top, h] = laneBox(d, lane);
  for (const e of events) {
    const at = millis(e.at);
    if (at === null) continue;
    const a = d.x(at / 1000);
    const b = e.ongoing ? d.left + d.width : d.x((millis(e.until) ?? at) / 1000);
    if (b < d.left || a > d.left + d.width) continue;
    d.ctx.fillStyle = severityColor(d, e);
    d.ctx.globalAlpha = 0.45;
    if (b > a) d.ctx.fillRect(a, top + h * 0.25, b - a, h * 0.5);
    d.ctx.globalAlpha = 1;
  }
  let free = -Infinity;
  for (const e of [...events].sort((x, y) => (millis(x.at) ?? 0) - (millis(y.at) ?? 0))) {
    const x = Math.max(d.left + 6 * d.ratio, d.x((millis(e.at) ?? 0) / 1000));
    if (x > d.left + d.width || (e.until !== null && d.x((millis(e.until) ?? 0) / 1000) < d.left)) continue;
    d.ctx.fillStyle = severityColor(d, e);
    if (x < free) {
      d.ctx.fillRect(x - d.ratio, top, 2 * d.ratio, h); // no room for a sign
      continue;
    }
    d.ctx.font = `bold ${font(d, 13)}`;
    d.ctx.textAlign = 'center';
    d.ctx.textBaseline = 'middle';
    d.ctx.strokeStyle = d.c.panel;
    d.ctx.lineWidth = 3 * d.ratio;
    d.ctx.strokeText(eventLook(e.kind).sign, x, top + h / 2);
    d.ctx.fillText(eventLook(e.kind).sign, x, top + h / 2);
    free = x + 10 * d.ratio;
  }
}
