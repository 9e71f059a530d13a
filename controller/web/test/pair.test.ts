import { describe, expect, it } from 'vitest';
import { heatCells, heatRange, lossRatio, shade } from '../src/pages/pair/draw';
import { csvOf, fileName } from '../src/pages/pair/export';
import { stepWords } from '../src/pages/pair/keys';
import { changesOf, clockText, describe as words, dscp, gapsOf, gridOf, type GapFacts } from '../src/pages/pair/model';
import { pointsFor, spanQuery } from '../src/pages/pair/data';
import { viewOf } from '../src/plot/view';
import type { Hour, Numbers, Series, TimelineEvent } from '../src/pages/pair/types';

const T0 = Date.parse('2026-11-27T11:00:00Z');
const iso = (ms: number) => new Date(ms).toISOString();

function step(i: number, more: Partial<Numbers> = {}): Numbers {
  const start = T0 + i * 10_000;
  return {
    start: iso(start), end: iso(start + 10_000), level: 'raw', status: 'ok', sent: 100, received: 100, lost: 0, lost_forward: 0, lost_backward: 0, lost_unknown: 0,
    loss_ratio: 0, loss_forward_ratio: 0, loss_backward_ratio: 0, loss_unknown_ratio: 0, loss_runs: 0, one_way_valid: true, one_way_error_bound_seconds: 0.0002,
    clock_local_synced: true, clock_remote_known: true, clock_remote_synced: true, host_trouble: 'none', send_errors: 0,
    delay_roundtrip_p50_seconds: 0.01, delay_roundtrip_p95_seconds: 0.012, delay_roundtrip_p99_seconds: 0.02 + i / 1000, ttl_forward_min: 57, ttl_forward_max: 57, ...more,
  };
}
function series(steps: Numbers[], n = 12): Series {
  return { pair: {}, from: iso(T0), to: iso(T0 + n * 10_000), step_ns: 1e10, truncated: false, scheduled: [{ from_ns: 0, until_ns: 9e18, report_period_ns: 1e10 }], steps, heat: null, flows: null };
}
const facts = (more: Partial<GapFacts> = {}): GapFacts => ({ hours: [], events: [], liveToMs: null, ...more });
const hour = (missing: Partial<Hour['missing']>): Hour => ({ start: iso(T0), expected: 360, stored: 300, missing: { refused: 0, dropped: 0, agent_down: 0, awaited: 0, unknown: 0, ...missing } });
const gapCauses = (s: Series, f: GapFacts) => gapsOf(gridOf(s), f).map((g) => g.cause);

describe('gaps', () => {
  const holed = series([step(0), step(1), step(5), step(6), step(11)]);
  it('are stretches without data, each with its cause', () => {
    const gaps = gapsOf(gridOf(holed), facts({ hours: [hour({ agent_down: 3 })] }));
    expect(gaps.map((g) => [(g.startMs - T0) / 10_000, (g.endMs - T0) / 10_000, g.cause])).toEqual([[2, 5, 'agent down'], [7, 11, 'agent down']]);
  });
  it('have several where the hour has', () => {
    expect(gapCauses(holed, facts({ hours: [hour({ agent_down: 3, dropped: 4 })] }))[0]).toBe('spool was full (4), agent down (3)');
  });
  it('may be nothing that was to be measured, or not known', () => {
    expect(gapCauses(holed, facts())[0]).toBe('nothing was to be measured then');
    expect(gapCauses(holed, facts({ hours: null }))[0]).toBe('cause not known');
    expect(gapCauses({ ...holed, scheduled: [{ from_ns: (T0 + 50_000) * 1e6, until_ns: 9e18, report_period_ns: 1e10 }] }, facts())).toEqual(['not scheduled then', 'nothing was to be measured then']);
  });
  it('name the status that a summary gave', () => {
    expect(gapCauses(series([step(0), step(1, { sent: 0, received: 0, status: 'refused' }), step(2)], 3), facts())).toEqual(['refused']);
  });
  it('are no gaps at the right edge, where data is on its way', () => {
    const s = series([step(0), step(1), step(2)], 5);
    expect(gapsOf(gridOf(s), facts({ liveToMs: T0 + 50_000 })).map((g) => g.pending)).toEqual([true]);
    const old = series([step(0)], 12);
    expect(gapsOf(gridOf(old), facts({ liveToMs: T0 + 120_000 })).map((g) => g.pending)).toEqual([false]);
  });
  it('are not total loss, nor a host that cannot send', () => {
    const s = series([step(0), step(1, { received: 0, lost: 100, lost_unknown: 100 }), step(2, { sent: 0, send_errors: 100 })], 3);
    expect(gapsOf(gridOf(s), facts())).toEqual([]);
  });
});

describe('what is said', () => {
  const s = series([step(0), step(1, { received: 97, lost: 3, lost_forward: 3, loss_ratio: 0.03 }), step(2, { ttl_forward_min: 56, ttl_forward_max: 56, one_way_valid: false, clock_remote_synced: false })], 3);
  const grid = gridOf(s);
  const now = T0 + 60_000;
  it('sums up delay, loss with its direction, clocks and changes', () => {
    const text = words({ direction: 'roundtrip', grid, gaps: [], outages: [], changes: changesOf(grid), events: [], nowMs: now }).join('\n');
    expect(text).toContain('p50 10.0 ms to 10.0 ms, p99 at most 22.0 ms at 11:00:20Z');
    expect(text).toContain('Loss 1.00%: 3 forward, 0 backward, 0 unknown of 300 probes');
    expect(text).toContain('One-way delays are not valid in 33.33% of it.');
    expect(text).toContain('1 change of TTL or DSCP, the last at 11:00:20Z: TTL forward 57 \u2192 56');
  });
  it('tells one step', () => {
    const e: TimelineEvent = { at: iso(T0 + 12_000), until: null, ongoing: false, kind: 'alert', severity: 'critical', title: 'loss', detail: '' };
    expect(stepWords(grid, [], [e], T0 + 15_000, now)).toBe('11:00:10Z: 3 of 100 probes lost, 3.00% \u00b7 one-way delay valid, within 200 us \u00b7 alert: loss');
    expect(stepWords(grid, [], [e], T0 + 25_000, now)).toContain('not valid: the target is not synchronised');
    expect(stepWords(grid, [], [], T0 - 1, now)).toContain('not loaded');
  });
  it('names markings', () => {
    expect([dscp(184), dscp(0), dscp(1), dscp(136), dscp(20)]).toEqual(['EF', 'CS0', 'CS0+ECN1', 'AF41', '5']);
    expect(clockText({ one_way_valid: null })).toBe('not known');
  });
  it('knows when there is nothing finer', () => {
    expect(grid.raw).toBe(true);
    expect(gridOf({ ...s, step_ns: 2e10 }).raw).toBe(false);
    expect(gridOf(series([step(0, { level: '1min' })])).raw).toBe(false);
  });
});

describe('heat', () => {
  const s = series([step(0), step(3)], 5);
  const cells = heatCells({ direction: 'roundtrip', bounds_ns: [[-2e6, -4e6], [1e6, 2e6], [2e6, 4e6]], columns: [[1, 90, 2, 10], [0, 5]] }, s.steps, gridOf(s));
  it('puts columns where their steps are', () => {
    expect(cells.columns).toEqual([[1, 90, 2, 10], null, null, [0, 5], null]);
    expect(cells.most).toBe(90);
    expect([cells.low[0], cells.high[0]]).toEqual([-0.004, -0.002]);
    expect(heatRange(cells)).toEqual([-0.004, 0.004]);
  });
  it('shades few and many', () => {
    expect([shade(1, 100, 5), shade(10, 100, 5), shade(100, 100, 5), shade(1, 1, 5)]).toEqual([0, 2, 4, 4]);
  });
  it('has no loss of nothing', () => {
    expect([lossRatio(null, 'lost'), lossRatio(step(0, { sent: 0 }), 'lost'), lossRatio(step(0, { lost: 5 }), 'lost')]).toEqual([null, null, 0.05]);
  });
});

describe('files', () => {
  it('have a row for each step, and for each gap its cause', () => {
    const s = series([step(0, { pair_note: '=1+1', odd: 'a "b", c' }), step(2)], 3);
    const rows = csvOf(s, gapsOf(gridOf(s), facts({ hours: [hour({ awaited: 1 })] }))).trimEnd().split('\r\n');
    const head = (rows[0] ?? '').split(',');
    expect(rows).toHaveLength(4);
    expect(head[head.length - 1]).toBe('gap');
    expect(rows[1]).toContain(`'=1+1,"a ""b"", c"`);
    expect(rows[2]).toMatch(/^2026-11-27T11:00:10Z,2026-11-27T11:00:20Z,.*still awaited$/);
    expect(Number((rows[3] ?? '').split(',')[head.indexOf('sent')])).toBe(100);
  });
  it('have names without surprises', () => {
    expect(fileName({ mesh: 'a/b', class: 'c', source: '..', target: 'ä' }, T0, 'csv')).toBe('a_b_c_..___20261127T110000Z.csv');
  });
});

describe('questions', () => {
  const asked = (text: string) => {
    const q = new URLSearchParams(text);
    return spanQuery(viewOf(q, T0), q);
  };
  it('stay the same while the address does', () => {
    expect(asked('')).toEqual({ from: '-1h', to: null });
    expect(asked('from=-1d&to=-1h')).toEqual({ from: '-1d', to: '-1h' });
    expect(asked('zoom=-600s')).toEqual({ from: '-600s' });
    expect(asked('from=-6h&zoom=2026-11-27T10:00:00Z,2026-11-27T10:10:00Z')).toEqual({ from: '2026-11-27T10:00:00Z', to: '2026-11-27T10:10:00Z' });
  });
  it('are for as many steps as there is room for', () => {
    expect([pointsFor(300), pointsFor(1200), pointsFor(9999)]).toEqual([120, 400, 600]);
  });
});
