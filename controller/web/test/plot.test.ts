import { describe, expect, it } from 'vitest';
import { delayLabel, delayScale, linearSplits, logSplits, ratioLabel, rootSplits, signedSplits, timeLabels, timeSplits } from '../src/plot/axis';
import { extent, indexAt, lastIndex, shifted, stretches, toGrid } from '../src/plot/grid';
import { clamp, LEAST_MS, panBy, parseBefore, viewOf, zoomBy, zoomText, type View } from '../src/plot/view';

const at = (s: string) => Date.parse(s);
const NOW = at('2026-11-27T12:00:03Z');

describe('grid', () => {
  const steps = [{ t: 10_000 }, { t: 20_000 }, { t: 53_000 }];
  const grid = toGrid(steps, (s) => s.t, 12_000, 65_000, 10_000);
  it('leaves holes where nothing is stored', () => {
    expect(grid.startMs).toBe(10_000);
    expect(grid.steps.map((s) => s?.t ?? null)).toEqual([10_000, 20_000, null, null, 53_000, null]);
    expect(grid.mids[0]).toBe(15);
    expect(lastIndex(grid)).toBe(4);
    expect([indexAt(grid, 9_999), indexAt(grid, 10_000), indexAt(grid, 69_999), indexAt(grid, 70_000)]).toEqual([null, 0, 5, null]);
  });
  it('finds stretches of them', () => {
    expect(stretches(grid, (s) => s === null)).toEqual([
      { startMs: 30_000, endMs: 50_000 },
      { startMs: 60_000, endMs: 70_000 },
    ]);
  });
  it('lays an earlier span over it, also of other steps', () => {
    const before = toGrid([{ t: 0 }, { t: 40_000 }], (s) => s.t, 0, 60_000, 20_000);
    expect(shifted(grid, before, 10_000).map((s) => s?.t ?? null)).toEqual([0, 0, null, null, 40_000, 40_000]);
  });
  it('knows no range of nothing', () => {
    expect(extent([[null, null]])).toBeNull();
    expect(extent([[3, null], [1]])).toEqual([1, 3]);
  });
});

describe('axes', () => {
  it('puts lines at round times, in UTC', () => {
    const t = at('2026-11-26T23:30:00Z') / 1000;
    const splits = timeSplits(t, t + 3600, 6);
    expect(timeLabels(splits)).toEqual(['23:30', '23:40', '23:50', '11-27', '00:10', '00:20', '00:30']);
    expect(timeLabels(timeSplits(t, t + 60, 6))).toContain('23:30:10');
    expect(timeSplits(t, t + 300 * 86400, 3).length).toBeLessThanOrEqual(4);
  });
  it('puts few lines on a logarithmic axis, and enough of them', () => {
    expect(logSplits(0.0009, 0.031)).toEqual([0.001, 0.003, 0.01, 0.03]);
    expect(logSplits(1e-6, 10).length).toBeLessThanOrEqual(8);
    expect(logSplits(0.011, 0.014).length).toBeGreaterThanOrEqual(3);
    expect(logSplits(0, 1)).toEqual([]);
  });
  it('splits what may be negative on both sides of zero', () => {
    expect(signedSplits(-0.02, 0.2, 1e-3)).toEqual([-0.01, -0.001, 0, 0.001, 0.01, 0.1]);
  });
  it('shows small losses beside large ones', () => {
    expect(rootSplits(1)).toEqual([0, 0.1, 0.5, 1]);
    expect(rootSplits(0.01)[0]).toBe(0);
    for (const max of [0.0003, 0.004, 0.07, 0.6, 1.12]) expect(rootSplits(max).length).toBeGreaterThanOrEqual(3);
  });
  it('splits evenly otherwise', () => {
    expect(linearSplits(0, 0.011, 3)).toEqual([0, 0.005, 0.01]);
    expect(linearSplits(1, 1, 3)).toEqual([1]);
  });
  it('leaves out zeros that say nothing', () => {
    expect([delayLabel(0.02), delayLabel(0.0015), delayLabel(100e-6), delayLabel(2)]).toEqual(['20 ms', '1.5 ms', '100 us', '2 s']);
    expect([ratioLabel(0.5), ratioLabel(0.0005), ratioLabel(0.012)]).toEqual(['50%', '0.05%', '1.2%']);
  });
  it('has room around what is shown, and a scale for clocks that differ', () => {
    const s = delayScale([0.01, 0.011]);
    expect(s.kind).toBe('log');
    expect(s.max / s.min).toBeGreaterThan(2);
    const n = delayScale([-0.006, 0.009]);
    expect(n.kind).toBe('signed');
    expect(n.min).toBeLessThan(-0.006);
    expect(delayScale(null).kind).toBe('log');
  });
});

describe('the stretch of time', () => {
  const q = (text: string) => viewOf(new URLSearchParams(text), NOW);
  it.each([
    ['-15m', 900_000],
    ['-1h30m', 5_400_000],
    ['-600s', 600_000],
    ['-1.5d', 129_600_000],
    ['15m', null],
    ['-', null],
    ['-1y', null],
  ])('reads %s', (text, ms) => expect(parseBefore(text)).toBe(ms));
  it('is live where it ends at now', () => {
    expect(q('').view).toEqual({ fromMs: NOW - 3600_000, toMs: NOW, live: true });
    expect(q('from=-6h&zoom=-600s').view).toEqual({ fromMs: NOW - 600_000, toMs: NOW, live: true });
    expect(q('from=2026-11-27T10:00:00Z&to=2026-11-27T11:00:00Z').view.live).toBe(false);
  });
  it('says what of an address is no span', () => {
    expect(q('from=tomorrow').error).toMatch(/from=tomorrow is no span: expected/);
    expect(q('from=-1h&to=-2h').error).toMatch(/from before to/);
    expect(q('zoom=1,2,3').error).toMatch(/zoom=1,2,3/);
  });
  it('comes back from the address as it went in', () => {
    const v: View = { fromMs: at('2026-11-27T10:00:00Z'), toMs: at('2026-11-27T10:10:00Z'), live: false };
    expect(zoomText(v)).toBe('2026-11-27T10:00:00Z,2026-11-27T10:10:00Z');
    expect(q(`zoom=${zoomText(v)}`).view).toEqual(v);
    expect(q(`zoom=${zoomText({ fromMs: NOW - 90_000, toMs: NOW, live: true })}`).view).toEqual({ fromMs: NOW - 90_000, toMs: NOW, live: true });
  });
  it('zooms around a moment, which stays where it is', () => {
    const v: View = { fromMs: NOW - 4000_000, toMs: NOW - 2000_000, live: false };
    const m = NOW - 3500_000;
    const z = zoomBy(v, 0.5, m, NOW);
    expect(z.toMs - z.fromMs).toBe(1000_000);
    expect((m - z.fromMs) / 1000_000).toBeCloseTo(0.25);
  });
  it('is not closer than there are summaries, and not beyond now', () => {
    const v: View = { fromMs: NOW - 60_000, toMs: NOW, live: true };
    expect(zoomBy(v, 0.0001, NOW, NOW)).toEqual({ fromMs: NOW - LEAST_MS, toMs: NOW, live: true });
    expect(panBy(v, 3600_000, NOW)).toEqual(v);
    expect(panBy(v, -60_000, NOW).live).toBe(false);
    expect(clamp(-5000, 100_000, NOW).fromMs).toBe(0);
  });
});
