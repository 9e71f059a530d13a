/* From the API's answers to what is drawn and said of a pair. Pure. */
import { clock, millis, percent, plural, seconds, span as spanText, word } from '../../format';
import type { Outage } from '../../api/types';
import { extent, pick, stretches, toGrid, type Grid, type Stretch } from '../../plot/grid';
import { CAUSES, type Cause, type Completeness, type Direction, type Numbers, type Series, type TimelineEvent } from './types';

export const DIRECTIONS: readonly (readonly [Direction, string])[] = [
  ['roundtrip', 'round trip'],
  ['forward', 'forward'],
  ['backward', 'backward'],
];
export const directionWord = (d: Direction): string => (d === 'roundtrip' ? 'round trip' : d);

export function number(s: Partial<Numbers> | null | undefined, key: string): number | null {
  const v = s?.[key];
  return typeof v === 'number' ? v : null;
}
export const delay = (d: Direction, what: string) => (s: Partial<Numbers> | null): number | null => number(s, `delay_${d}_${what}_seconds`);

/* Nothing was measured in such a step, for a reason that its status tells. */
const EMPTY_STATUS = new Set(['refused', 'not_run', 'agent_down', 'name_error']);
export function measured(s: Partial<Numbers> | null): s is Partial<Numbers> {
  return s !== null && (number(s, 'sent') ?? 0) > 0;
}

export interface SeriesGrid extends Grid<Numbers> {
  raw: boolean; // a step is one report period, as it was measured: nothing finer is to be had
  fromMs: number;
  toMs: number;
  periodMs: number; // the shortest report period
  scheduled: Stretch[]; // when the pair was
}

export function gridOf(series: Series): SeriesGrid {
  const fromMs = millis(series.from) ?? 0;
  const toMs = millis(series.to) ?? fromMs + 1000;
  const grid = toGrid(series.steps, (s) => millis(s.start), fromMs, toMs, series.step_ns / 1e6);
  const scheduled = series.scheduled.map((i) => ({ startMs: i.from_ns / 1e6, endMs: i.until_ns / 1e6 }));
  const periodMs = series.scheduled.length ? Math.min(...series.scheduled.map((i) => i.report_period_ns)) / 1e6 : 0;
  return { ...grid, raw: series.steps.every((s) => s.level === 'raw') && grid.stepMs <= periodMs, fromMs, toMs, periodMs, scheduled };
}

/* ---- holes ---- */

export interface Gap extends Stretch {
  pending: boolean; // at the right edge: not there yet, no reason to worry
  cause: string; // in words; '' while pending
}

export interface GapFacts {
  hours: Completeness['hours'] | null;
  events: readonly TimelineEvent[];
  liveToMs: number | null; // the right edge, where it is now
}

/* A period is stored after its end, after the timeout of its last probe, and on its way. */
const LATE_MS = 30_000;

export function gapsOf(grid: SeriesGrid, facts: GapFacts): Gap[] {
  return stretches(grid, (s) => !measured(s) && !(s && (number(s, 'send_errors') ?? 0) > 0)).map((g) => {
    const pending = facts.liveToMs !== null && g.endMs > facts.liveToMs - grid.stepMs && facts.liveToMs - g.startMs <= Math.max(LATE_MS, grid.stepMs + LATE_MS);
    return { ...g, pending, cause: pending ? '' : causeOf(g, grid, facts) };
  });
}

const overlaps = (g: Stretch, from: number | null, to: number | null) => from !== null && from < g.endMs && (to === null || to > g.startMs);

function causeOf(g: Stretch, grid: SeriesGrid, facts: GapFacts): string {
  const status = grid.steps.map((s, i) => (s && EMPTY_STATUS.has(String(s.status)) && overlaps(g, grid.startMs + i * grid.stepMs, grid.startMs + (i + 1) * grid.stepMs) ? String(s.status) : '')).find((s) => s);
  if (status) return word(status);
  // A pair comes into the schedule within a report period, not at its begin.
  if (!grid.scheduled.some((i) => Math.min(i.endMs, g.endMs) - Math.max(i.startMs, g.startMs) >= grid.periodMs)) return 'not scheduled then';
  const down = facts.events.find((e) => e.kind === 'agent_down' && overlaps(g, millis(e.at), e.ongoing ? null : (millis(e.until) ?? millis(e.at))));
  if (!facts.hours) return down ? 'agent down' : 'cause not known';
  const sums = missingIn(g, facts.hours);
  const causes = CAUSES.filter((c) => sums[c] > 0);
  if (causes.length === 0) return down ? 'agent down' : 'nothing was to be measured then';
  if (causes.length === 1 && causes[0]) return causeWord(causes[0]);
  return causes.map((c) => `${causeWord(c)} (${sums[c]})`).join(', ');
}

const causeWord = (c: Cause): string =>
  ({ refused: 'refused by the agent', dropped: 'spool was full', agent_down: 'agent down', awaited: 'still awaited', unknown: 'cause unknown' })[c];

function missingIn(g: Stretch, hours: Completeness['hours']): Record<Cause, number> {
  const sums: Record<Cause, number> = { refused: 0, dropped: 0, agent_down: 0, awaited: 0, unknown: 0 };
  for (const h of hours) {
    const start = millis(h.start);
    if (start === null || !h.missing || !overlaps(g, start, start + 3600_000)) continue;
    for (const c of CAUSES) sums[c] += h.missing[c];
  }
  return sums;
}

/* ---- what changed on the way ---- */

export interface Change {
  ms: number;
  what: 'TTL' | 'DSCP';
  text: string;
}

const range = (low: number | null, high: number | null, show: (v: number) => string) => (low === null || high === null ? null : low === high ? show(low) : `${show(low)}..${show(high)}`);

/* DSCP is the upper six bits of TOS / Traffic Class, ECN the rest. */
const NAMES: Record<number, string> = { 0: 'CS0', 8: 'CS1', 16: 'CS2', 24: 'CS3', 32: 'CS4', 40: 'CS5', 48: 'CS6', 56: 'CS7', 46: 'EF', 44: 'VA', 1: 'LE', 10: 'AF11', 12: 'AF12', 14: 'AF13', 18: 'AF21', 20: 'AF22', 22: 'AF23', 26: 'AF31', 28: 'AF32', 30: 'AF33', 34: 'AF41', 36: 'AF42', 38: 'AF43' };
export function dscp(tos: number): string {
  const d = tos >> 2;
  const ecn = tos & 3;
  return `${NAMES[d] ?? d}${ecn ? `+ECN${ecn}` : ''}`;
}

export const ttlText = (s: Partial<Numbers> | null, way: 'forward' | 'backward') => range(number(s, `ttl_${way}_min`), number(s, `ttl_${way}_max`), String);
export const tosText = (s: Partial<Numbers> | null, way: 'forward' | 'backward') => range(number(s, `tos_${way}_min`), number(s, `tos_${way}_max`), dscp);

export function changesOf(grid: Grid<Numbers>): Change[] {
  const out: Change[] = [];
  for (const way of ['forward', 'backward'] as const)
    for (const [what, text] of [['TTL', ttlText], ['DSCP', tosText]] as const) {
      let before: string | null = null;
      grid.steps.forEach((s, i) => {
        const now = text(s, way);
        if (now === null) return;
        if (before !== null && before !== now) out.push({ ms: grid.startMs + i * grid.stepMs, what, text: `${what} ${way} ${before} \u2192 ${now}` });
        before = now;
      });
    }
  return out.sort((a, b) => a.ms - b.ms);
}

/* ---- clocks ---- */

export type ClockWord = 'valid' | 'invalid' | 'none';
export function clockOf(s: Numbers | null): ClockWord {
  return !measured(s) || (number(s, 'delay_forward_count') ?? number(s, 'received') ?? 0) === 0 ? 'none' : s.one_way_valid ? 'valid' : 'invalid';
}
export function clockText(s: Partial<Numbers> | null): string {
  if (!s || s.one_way_valid === null || s.one_way_valid === undefined) return 'not known';
  if (s.one_way_valid) return `valid, within ${seconds(s.one_way_error_bound_seconds)}`;
  const why: string[] = [];
  if (s.clock_local_synced === false) why.push('the source is not synchronised');
  if (s.clock_remote_known === false) why.push('the target does not tell');
  else if (s.clock_remote_synced === false) why.push('the target is not synchronised');
  if ((number(s, 'clock_steps') ?? 0) + (number(s, 'clock_remote_steps') ?? 0) > 0) why.push('a clock was set');
  return `not valid: ${why.join(', ') || `error up to ${seconds(s.one_way_error_bound_seconds)}`}`;
}

/* ---- events ---- */

export interface EventLook {
  sign: string;
  word: string;
}
const EVENT_LOOKS: Record<string, EventLook> = {
  generation: { sign: '\u25c6', word: 'schedule' },
  alert: { sign: '!', word: 'alert' },
  agent_restart: { sign: '\u21bb', word: 'agent restart' },
  agent_down: { sign: '\u25a0', word: 'agent down' },
  clock_step: { sign: '\u00b1', word: 'clock step' },
  maintenance: { sign: '\u2016', word: 'maintenance' },
  ttl_change: { sign: '\u21c4', word: 'TTL change' },
  refused: { sign: '\u2298', word: 'refused' },
  dropped: { sign: '\u25bd', word: 'spool full' },
  dscp_change: { sign: '\u2691', word: 'DSCP change' },
  test: { sign: '\u25b8', word: 'test' },
};
export function eventLook(kind: string): EventLook {
  return EVENT_LOOKS[kind] ?? { sign: '\u2022', word: word(kind) };
}

/* ---- in words ---- */

export interface Facts {
  direction: Direction;
  grid: SeriesGrid;
  gaps: readonly Gap[];
  outages: readonly Outage[] | null;
  changes: readonly Change[];
  events: readonly TimelineEvent[];
  nowMs: number;
}

/* What the plots say, for those who do not see them, and for those who do at 3 a.m. */
export function describe(f: Facts): string[] {
  const out = [delayWords(f), lossWords(f), clockWords(f)];
  const holes = f.gaps.filter((g) => !g.pending);
  if (holes.length) {
    const longest = holes.reduce((a, b) => (b.endMs - b.startMs > a.endMs - a.startMs ? b : a));
    out.push(`${plural(holes.length, 'gap')} without data, the longest ${spanText(longest.endMs - longest.startMs)} from ${clock(longest.startMs, f.nowMs)}: ${longest.cause}.`);
  }
  if (f.changes.length) {
    const last = f.changes[f.changes.length - 1];
    out.push(`${plural(f.changes.length, 'change')} of TTL or DSCP${last ? `, the last at ${clock(last.ms, f.nowMs)}: ${last.text}` : ''}.`);
  }
  return out.filter((t) => t !== '');
}

function delayWords(f: Facts): string {
  const p50 = extent([pick(f.grid, delay(f.direction, 'p50'))]);
  if (!p50) return 'No delay was measured in this span.';
  const p99 = pick(f.grid, delay(f.direction, 'p99'));
  const worst = extent([p99])?.[1] ?? null;
  const at = worst === null ? -1 : p99.indexOf(worst);
  const peak = worst === null ? '' : `, p99 at most ${seconds(worst)} at ${clock(f.grid.startMs + at * f.grid.stepMs, f.nowMs)}`;
  const name = directionWord(f.direction);
  return `${name[0]?.toUpperCase()}${name.slice(1)}: p50 ${seconds(p50[0])} to ${seconds(p50[1])}${peak}.`;
}

function lossWords(f: Facts): string {
  const sum = { sent: 0, lost: 0, lost_forward: 0, lost_backward: 0, lost_unknown: 0 };
  for (const s of f.grid.steps) if (s) for (const k of Object.keys(sum) as (keyof typeof sum)[]) sum[k] += s[k];
  if (sum.sent === 0) return '';
  const runs = f.outages?.length ? ` in ${plural(f.outages.length, 'loss run')}, the longest ${seconds(Math.max(...f.outages.map((o) => o.duration_seconds)))}` : '';
  if (sum.lost === 0) return `No loss: ${plural(sum.sent, 'probe')}.`;
  return `Loss ${percent(sum.lost / sum.sent)}: ${sum.lost_forward} forward, ${sum.lost_backward} backward, ${sum.lost_unknown} unknown of ${plural(sum.sent, 'probe')}${runs}.`;
}

function clockWords(f: Facts): string {
  const words = f.grid.steps.map(clockOf);
  const bad = words.filter((w) => w === 'invalid').length;
  const all = words.filter((w) => w !== 'none').length;
  if (!bad) return '';
  return bad === all ? 'One-way delays are not valid in this span.' : `One-way delays are not valid in ${percent(bad / all)} of it.`;
}
