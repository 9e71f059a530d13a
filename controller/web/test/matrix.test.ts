import { describe, expect, it } from 'vitest';
import { look, visible } from '../src/pages/matrix/draw';
import { move, pitchFor } from '../src/pages/matrix/Grid';
import { build, groups, isWrong, judge, matches, rankOf, square, summarise, toCell, troubles, view, type CellTuple, type MatrixAnswer, type Shape } from '../src/pages/matrix/model';
import { momentOf } from '../src/pages/matrix/TimeBar';
import { sinceOf } from '../src/pages/matrix/Worst';
import { complaint, describe as say, levelsText, parts } from '../src/pages/matrix/words';
import type { Alert } from '../src/api/types';

const ams = 0;
const fra = 1;
const lon = 2;
const names = ['ams', 'fra', 'lon', 'nyc'];

function answer(cells: CellTuple[], change: Partial<MatrixAnswer> = {}): MatrixAnswer {
  return {
    at: '2026-11-27T12:00:00Z',
    age_s: 1,
    live: true,
    mesh: 'm',
    class: 'c',
    metric: 'loss',
    unit: 'ratio',
    levels: { info: null, warning: 0.005, critical: 0.03 },
    choices: [{ mesh: 'm', classes: ['c'] }],
    nodes: names.map((name, i) => ({ name, labels: { site: i < 2 ? 'west' : 'east' }, state: 'up' })),
    cells,
    ...change,
  };
}
/* Loss of one pair, judged as a whole. */
function loss(s: number, t: number, forward: number, backward: number, sev: 0 | 2 | 3 | null, flags = 0): CellTuple {
  return [s, t, forward + backward ? 'partial' : 'ok', sev, forward, backward, forward + backward, 0, null, null, sev, flags];
}
const state = (s: number, t: number, word: string, flags = 0): CellTuple => [s, t, word, null, null, null, null, null, null, null, null, flags];
const all: Shape = { group: '', fold: () => false, find: '', onlyWrong: false };

describe('which half is to blame', () => {
  it('is the one with the loss when a rule judges both together', () => {
    const c = toCell(loss(ams, fra, 0.2, 0, 3), answer([]));
    expect([c.sevForward, c.sevBackward, c.sevRoundtrip]).toEqual([3, 0, 3]);
  });
  it('is neither when only both together are too much', () => {
    const m = answer([loss(ams, fra, 0.02, 0.02, 3)]);
    const model = build(m);
    const c = model.cells[0]!;
    expect([c.sevForward, c.sevBackward]).toEqual([2, 2]);
    const q = square(view(model, all), view(model, all).rows[0]!, view(model, all).cols[0]!);
    expect(look(model, q, 'both', false)).toMatchObject({ body: 'split', a: 'warning', b: 'warning', middle: 'critical' });
  });
  it('is what a rule of that direction says, if there is one', () => {
    const c = toCell([ams, fra, 'partial', 3, 0.001, 0, 0.001, 0, 3, 0, 0, 0], answer([]));
    expect([c.sevForward, c.sevBackward]).toEqual([3, 0]);
  });
  it('is not judged without a rule', () => {
    const c = toCell(loss(ams, fra, 0.2, 0, null), answer([], { levels: null }));
    expect([c.sevForward, c.sevBackward]).toEqual([null, null]);
    expect(c.rank).toBe(1);
  });
  it('is not guessed from a level of round trips', () => {
    const c = toCell([ams, fra, 'ok', 3, 0.06, 0.01, 0.07, null, null, null, 3, 0], answer([], { unit: 's', metric: 'p95', levels: { warning: 0.01, critical: 0.05 } }));
    expect([c.sevForward, c.sevBackward]).toEqual([null, null]);
  });
});

describe('levels', () => {
  it.each([
    [0, 0],
    [0.0049, 0],
    [0.005, 2],
    [0.03, 3],
    [1, 3],
  ])('%d', (v, sev) => expect(judge(v, { warning: 0.005, critical: 0.03 })).toBe(sev));
  it('are said in the units of the number', () => expect(levelsText(answer([]))).toBe('warning from 0.50%, critical from 3.00%'));
});

describe('how bad', () => {
  it('puts all lost before critical before agent down before warning before no data', () => {
    const ranks = [rankOf('all_lost', 3, 1), rankOf('partial', 3, 0.5), rankOf('agent_down', null, null), rankOf('refused', null, null), rankOf('partial', 2, 0.01), rankOf('no_data', null, null), rankOf('ok', 0, 0)];
    expect(ranks).toEqual([7, 6, 5, 4, 3, 2, 0]);
  });
  it('leaves at rest what nobody expects', () => {
    for (const s of ['paused', 'idle', 'drained', 'not_scheduled']) expect(rankOf(s, null, null)).toBe(0);
  });
  it('is nobody\'s concern during maintenance', () => {
    expect(isWrong(toCell(loss(ams, fra, 0.2, 0, 3, 2), answer([])))).toBe(false);
  });
});

describe('the summary', () => {
  const model = build(answer([loss(ams, fra, 0.2, 0, 3, 4), loss(fra, ams, 0, 0, 0), state(ams, lon, 'all_lost'), state(lon, ams, 'agent_down'), state(lon, fra, 'agent_down'), state(fra, lon, 'paused'), loss(0, 3, 0.2, 0, 3, 2)]));
  it('counts each pair once, worst first', () => {
    const s = summarise(model);
    expect(s.counts.map((c) => [c.key, c.n])).toEqual([
      ['all_lost', 1],
      ['critical', 1],
      ['agent_down', 2],
    ]);
    expect([s.pairs, s.measured, s.maintenance, s.resting]).toEqual([7, 1, 1, 1]);
    expect(s.counts.reduce((n, c) => n + c.n, 0) + s.measured + s.maintenance + s.resting).toBe(s.pairs);
  });
  it('makes one entry of an agent that is down', () => {
    expect(troubles(model).map((t) => [t.rank, t.agent, t.pairs])).toEqual([
      [7, null, 1],
      [6, null, 1],
      [5, 'lon', 2],
    ]);
  });
  it('says what is wrong in words', () => {
    const m = model.answer;
    expect(complaint(m, model.at.get(1)!)).toBe('20.00% lost forward');
    expect(complaint(m, model.at.get(2)!)).toBe('all lost');
    expect(parts(m, model.at.get(1)!).map((p) => `${p.way} ${p.text} ${p.sev}`)).toEqual(['in all 20.00% 3', 'forward 20.00% 3', 'backward 0% 0']);
  });
});

describe('rows and columns', () => {
  const model = build(answer([loss(ams, fra, 0.2, 0, 3), loss(fra, ams, 0, 0, 0), loss(ams, 3, 0.01, 0, 2), loss(3, ams, 0, 0, 0), state(3, lon, 'no_data')]));
  it('hold what is in the mesh only', () => {
    const v = view(model, all);
    expect(v.rows.map((l) => l.label)).toEqual(['ams', 'fra', 'nyc']);
    expect(v.cols.map((l) => l.label)).toEqual(['ams', 'fra', 'lon', 'nyc']);
  });
  it('fold by a label to the worst of each group, with counts', () => {
    expect(groups(model.answer, 'site')).toEqual(['east', 'west']);
    const v = view(model, { ...all, group: 'site', fold: () => true });
    expect(v.rows.map((l) => l.label)).toEqual(['east (1)', 'west (2)']);
    const west = v.rows[1]!;
    const within = square(v, west, west.label === 'west (2)' ? v.cols[1]! : west);
    expect([within.cells.length, within.wrong, within.worst?.rank]).toEqual([2, 1, 6]);
    expect([within.sevForward, within.sevBackward]).toEqual([3, 0]);
    expect(say(model, west, v.cols[0]!, square(v, west, v.cols[0]!))).toContain('1 pair, 1 wrong, worst ams > nyc');
  });
  it('fold one group and leave the other', () => {
    const v = view(model, { ...all, group: 'site', fold: (g) => g === 'west' });
    expect(v.rows.map((l) => l.label)).toEqual(['nyc', 'west (2)']);
  });
  it('shrink to what is wrong, or to a name or label', () => {
    expect(view(model, { ...all, onlyWrong: true }).rows.map((l) => l.label)).toEqual(['ams', 'nyc']);
    expect(view(model, { ...all, find: 'FRA' }).rows.map((l) => l.label)).toEqual(['ams', 'fra']);
    expect(matches(model.answer, lon, 'site=east')).toBe(true);
    expect(matches(model.answer, lon, 'site=west')).toBe(false);
  });
  it('tell a square that is not scheduled from one without data and from itself', () => {
    const v = view(model, all);
    const body = (r: number, c: number) => look(model, square(v, v.rows[r]!, v.cols[c]!), 'both', false).body;
    expect([body(0, 0), body(1, 3), body(2, 2), body(0, 1)]).toEqual(['self', 'none', 'no_data', 'split']);
  });
});

describe('one-way delays that cannot be trusted', () => {
  it('are not drawn: the round trip is, with a mark', () => {
    const model = build(answer([[ams, fra, 'ok', 0, null, null, 0.03, null, null, null, 0, 1]], { unit: 's', metric: 'p95' }));
    const v = view(model, all);
    expect(look(model, square(v, v.rows[0]!, v.cols[0]!), 'both', false)).toMatchObject({ body: 'whole', a: 'ok', marks: 1 });
  });
});

describe('keys', () => {
  const go = (key: string, ctrl = false, row = 2, col = 2) => move(key, ctrl, { row, col }, 30, 5);
  it('move by one, to the ends, and never out', () => {
    expect(go('ArrowUp')).toEqual({ row: 1, col: 2 });
    expect(go('ArrowLeft', false, 0, 0)).toEqual({ row: 0, col: 0 });
    expect(go('End')).toEqual({ row: 2, col: 4 });
    expect(go('Home', true)).toEqual({ row: 0, col: 0 });
    expect(go('End', true)).toEqual({ row: 29, col: 4 });
    expect(go('PageDown')).toEqual({ row: 12, col: 2 });
    expect(go('PageDown', false, 25)).toEqual({ row: 29, col: 2 });
    expect(go('x')).toBeNull();
  });
});

describe('sizes', () => {
  it('fill the width, but keep the grid in sight, and never get too small', () => {
    expect(pitchFor(900, 600, 6, 6, 1)).toBe(72);
    expect(pitchFor(1200, 600, 50, 50, 1)).toBe(24);
    expect(pitchFor(1200, 600, 200, 200, 1)).toBe(9);
    expect(pitchFor(2000, 600, 20, 20, 1)).toBe(34);
  });
  it('draw only what is in sight', () => {
    expect(visible(200, 9, 0, 90)).toEqual([0, 10]);
    expect(visible(200, 9, 95, 90)).toEqual([10, 21]);
    expect(visible(5, 9, 0, 900)).toEqual([0, 5]);
  });
});

describe('moments that people type', () => {
  const now = Date.parse('2026-11-27T12:00:00Z');
  it.each([
    ['2026-11-26 10:30', '2026-11-26T10:30:00Z'],
    ['2026-11-26T10:30:15Z', '2026-11-26T10:30:15Z'],
    ['11:30', '2026-11-27T11:30:00Z'],
    ['23:30', '2026-11-26T23:30:00Z'],
    ['-15m', '2026-11-27T11:45:00Z'],
    ['-2d', '2026-11-25T12:00:00Z'],
    ['noon', null],
    ['2026-13-40 10:00', null],
  ])('%s', (text, at) => expect(momentOf(text, now)).toBe(at));
});

describe('since when', () => {
  const alert = (change: Partial<Alert>) => ({ kind: 'pair', mesh: 'm', class: 'c', source: 'ams', target: 'fra', metric: 'loss', pending: '2026-11-27T11:00:00Z', ...change }) as Alert;
  it('is told by the alert of this metric, then by any of the pair', () => {
    const since = sinceOf([alert({ metric: 'p95', pending: '2026-11-27T10:00:00Z' }), alert({}), alert({ target: 'lon', metric: 'p95' }), alert({ mesh: 'other', source: 'x' })], { mesh: 'm', class: 'c', metric: 'loss' });
    expect(since('ams', 'fra')).toBe('2026-11-27T11:00:00Z');
    expect(since('ams', 'lon')).toBe('2026-11-27T11:00:00Z');
    expect(since('x', 'fra')).toBeNull();
  });
});
