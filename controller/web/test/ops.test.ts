import { describe, expect, it } from 'vitest';
import { ApiError } from '../src/api/client';
import { matchOf } from '../src/pages/alerts/actions';
import { quietText, worst } from '../src/pages/alerts/list';
import { concerns } from '../src/pages/fleet/concerns';
import { controllerConcerns, type Controller } from '../src/pages/fleet/controllers';
import { duration, inGroups, labelChange, nanos, nsText, until } from '../src/pages/ops/text';
import type { Agent, Alert, Probe, Progress, ReportRow, Test, TestRun, Total } from '../src/pages/ops/types';
import { apiQuery, before, objectives } from '../src/pages/reports/query';
import { request, type Wish } from '../src/pages/test/form';
import { Keeper, from, merge } from '../src/pages/test/keeper';
import { further, progressOf, withTotals } from '../src/pages/test/show';

describe('what is typed', () => {
  for (const [text, ms] of [
    ['90m', 5_400_000],
    ['1h30m', 5_400_000],
    ['1.5s', 1500],
    ['20ms', 20],
    ['7d', 604_800_000],
    ['90', null],
    ['1x', null],
    ['', null],
    ['-1h', null],
  ] as [string, number | null][])
    it(`duration "${text}"`, () => expect(duration(text)).toBe(ms));

  const now = Date.parse('2026-11-27T12:00:00Z');
  for (const [text, at] of [
    ['2h', '2026-11-27T14:00:00.000Z'],
    ['+30m', '2026-11-27T12:30:00.000Z'],
    ['2026-12-01T08:00:00Z', '2026-12-01T08:00:00.000Z'],
    ['2026-12-01T08:00:00+01:00', '2026-12-01T07:00:00.000Z'],
  ] as const)
    it(`until "${text}"`, () => expect(until(text, now)).toBe(at));
  for (const text of ['tomorrow', '', '2026-12-01', '2026-12-01T08:00:00'])
    it(`until "${text}" is refused with what was expected`, () => expect(() => until(text, now)).toThrow(/expected a time such as 2h/));

  it('nanoseconds of times are exact', () => expect([nanos('10s'), nanos('1.5ms'), nanos('366d')]).toEqual(['10000000000', '1500000', '31622400000000000']));
  it('a time without a unit is refused', () => expect(() => nanos('10')).toThrow(/with its unit/));
  it('nanoseconds as documents write them', () => expect([nsText(1.5e9), nsText(3.6e12), nsText(2e7), nsText(0), nsText(null)]).toEqual(['1.5s', '1h', '20ms', '-', '-']));

  it('labels to set and to take off', () =>
    expect(labelChange('site=ams, role- tier=a=b')).toEqual({ set_labels: [{ key: 'site', value: 'ams' }, { key: 'tier', value: 'a=b' }], remove_labels: ['role'] }));
  for (const text of ['', '=x', 'site=', 'site', '-']) it(`labels "${text}" are refused`, () => expect(() => labelChange(text)).toThrow(/KEY=VALUE/));
  it('fingerprints in groups', () => expect(inGroups('0123456789')).toBe('0123 4567 89'));
});

const agent = (change: Record<string, unknown>, health: Record<string, unknown> = {}): Agent =>
  ({ name: 'a', state: 'up', generation: 2, generation_wanted: 2, refusals: [], clock: null, drained: null, revoked: null, in_maintenance: false, health: { clock: { synced: true, max_error_ns: 1, steps: 0 }, spool_summaries: 0, spool_dropped: 0, ...health }, ...change }) as unknown as Agent;

describe('what is the matter with an agent', () => {
  for (const [name, a, want] of [
    ['nothing', agent({}), []],
    ['not connected', agent({ state: 'down' }, { spool_summaries: 3 }), ['not connected', '3 summaries in its spool when last heard']],
    ['behind', agent({ generation: 1 }), ['runs generation 1, not 2']],
    ['refuses', agent({ refusals: [{}, {}] }), ['refuses 2 sessions']],
    ['clock off', agent({ clock: { verdict: 'offset', offset_ns: 5_010_000, uncertainty_ns: 151_000 } }), ['clock is 5.01 ms ahead of the others (+- 151 us)']],
    ['clock behind', agent({ clock: { verdict: 'offset', offset_ns: -5_010_000, uncertainty_ns: 151_000 } }), ['clock is 5.01 ms behind the others (+- 151 us)']],
    ['not synced', agent({}, { clock: { synced: false, max_error_ns: 0, steps: 0 } }), ['clock is not synchronised']],
    ['dropped', agent({}, { spool_dropped: 1 }), ['spool dropped 1 summary']],
    ['starved', agent({}, { host_cpu_wait_ratio: 0.25 }), ['waited for a CPU up to 25.00% of a second']],
    ['not starved', agent({}, { host_cpu_wait_ratio: 0.19 }), []],
    ['drained', agent({ drained: { time: null, author: 'ann', reason: 'move' } }), ['drained by ann: move']],
    ['never heard since the start', agent({ state: 'down', health: null }), ['not connected']],
    ['files that cannot be used', agent({}, { secrets_error: 'k:1: no key', access_error: null, https_error: 'no PEM', config_error: 'a.yaml:2: x', restart_needed: 'workers' }),
      ['secrets: k:1: no key', 'HTTPS certificate: no PEM', 'configuration: a.yaml:2: x', 'needs a restart for workers']],
  ] as [string, Agent, string[]][])
    it(name, () => expect(concerns(a).map((c) => c.text)).toEqual(want));
});

const alert = (change: Record<string, unknown>): Alert => ({ state: 'firing', severity: 'warning', kind: 'pair', quiet: '', acked: null, pending: '2026-11-27T12:00:00Z', ...change }) as unknown as Alert;

describe('alerts', () => {
  it('worst first', () => {
    const list = [
      alert({ id: 1, state: 'pending', severity: 'critical' }),
      alert({ id: 2 }),
      alert({ id: 3, severity: 'critical' }),
      alert({ id: 4, severity: 'critical', kind: 'site' }),
      alert({ id: 5, severity: 'critical', quiet: 'silenced' }),
      alert({ id: 6, pending: '2026-11-27T11:00:00Z' }),
      alert({ id: 7, severity: 'critical', kind: 'agent', quiet: 'waiting' }),
    ];
    expect(list.sort((a, b) => (worst(a) < worst(b) ? -1 : 1)).map((a) => a.id)).toEqual([4, 7, 3, 6, 2, 5, 1]);
  });
  it('says why nobody is told', () => {
    expect(quietText(alert({}))).toBe('');
    expect(quietText(alert({ quiet: 'silenced', quiet_reason: 'by ann' }))).toBe('silenced: by ann');
    expect(quietText(alert({ acked: '2026-11-27T12:00:00Z', acked_by: 'ann', ack_reason: 'ticket 4' }))).toBe('ann works on it: ticket 4');
  });
  it('a silence for a pair is of its pair and metric', () =>
    expect(matchOf([['kind', 'pair'], ['severity', 'warning'], ['rule', 'r'], ['metric', 'loss'], ['mesh', 'm'], ['class', 'c'], ['source', 'a'], ['target', 'b'], ['source.site', 'x']].map(([key, value]) => ({ key: key!, value: value! })))).toBe(
      'metric=loss,mesh=m,class=c,source=a,target=b',
    ));
  it('a silence for a site is of the site', () => expect(matchOf([{ key: 'kind', value: 'site' }, { key: 'site', value: 'ams' }, { key: 'severity', value: 'critical' }])).toBe('kind=site,site=ams'));
});

describe('reports', () => {
  for (const [from, to, earlier, want] of [
    ['-1h', '', '', ['-7200s', '-3600s']],
    ['-1h', '', '7d', ['-608400s', '-604800s']],
    ['-2h', '-1h', '', ['-10800s', '-7200s']],
    ['2026-11-02T00:00:00Z', '2026-11-03T00:00:00Z', '', ['2026-11-01T00:00:00.000Z', '2026-11-02T00:00:00.000Z']],
    ['2026-11-08T00:00:00Z', '2026-11-09T00:00:00Z', '7d', ['2026-11-01T00:00:00.000Z', '2026-11-02T00:00:00.000Z']],
  ] as const)
    it(`the span before ${from} - ${to || 'now'}, ${earlier || 'just before'}`, () => expect(Object.values(before(from, to, earlier))).toEqual(want));
  it('ends that do not go together are refused', () => {
    expect(() => before('2026-11-02T00:00:00Z', '', '')).toThrow(/both ends/);
    expect(() => before('-1h', '2026-11-02T00:00:00Z', '')).toThrow(/both ends/);
    expect(() => before('-1h', '', 'week')).toThrow(/such as 7d/);
  });
  it('objectives of single numbers, or a document', () => {
    expect(objectives(new URLSearchParams('goal.availability=99.9%25&goal.p99=50ms'))).toBe('{availability: 99.9%, p99: 50ms}');
    expect(objectives(new URLSearchParams('objectives=loss: 1%25'))).toBe('loss: 1%');
    expect(objectives(new URLSearchParams())).toBe('');
  });
  it('what is asked', () => {
    expect(apiQuery('', new URLSearchParams('mesh=m&by=label:site'), 9)).toMatchObject({ mesh: 'm', by: 'label:site', from: '-1h', limit: 9 });
    expect(apiQuery('top', new URLSearchParams('worst=mos_g711&top=5'), 9)).toMatchObject({ sort: 'mos_g711', top: '5' });
    expect(apiQuery('compare', new URLSearchParams(), 9)).toMatchObject({ from: '-1h', before_from: '-7200s', before_to: '-3600s' });
  });
});

const wish: Wish = { kind: 'pair', source: 'a', target: 'b', mesh: '', class: '', select: '', target_select: '', count: '', duration: '10s', parallel: '', settings: {} };

describe('tests on demand', () => {
  it('a pair', () => expect(request({ ...wish, mesh: 'm', class: 'c', settings: { dscp: 'EF', ttl: ' ' } }, 'ann')).toEqual({ source: 'a', target: 'b', class: 'm/c', author: 'ann', settings: [{ key: 'dscp', value: 'EF' }], duration_ns: '10000000000' }));
  it('a mesh', () => expect(request({ ...wish, kind: 'mesh', mesh: 'm', class: 'c', select: 'site=x', count: '50', duration: '', parallel: '4' }, '')).toMatchObject({ mesh: 'm', class: 'c', select: 'site=x', count: 50, parallel: 4 }));
  it('what is no number is refused', () => expect(() => request({ ...wish, count: 'ten' }, '')).toThrow(/Probes: expected a whole number; got "ten"/));

  const t = (change: Partial<Test>): Test => ({ test_id: 1, state: 'running', runs: 1, done: 0, failed: 0, count: 0, duration_ns: 0, ...change }) as Test;
  const run = (sent: number): TestRun => ({ started: '2026-11-27T12:00:00Z', total: { sent } }) as unknown as TestRun;
  const at = Date.parse('2026-11-27T12:00:04Z');
  it('progress', () => {
    expect(progressOf(t({ count: 100 }), [run(25)], at)).toBe(0.25);
    expect(progressOf(t({ duration_ns: 10e9 }), [run(25)], at)).toBe(0.4);
    expect(progressOf(t({ count: 50, duration_ns: 10e9 }), [run(25)], at)).toBe(0.5);
    expect(progressOf(t({ runs: 4, done: 1, failed: 1 }), [], at)).toBe(0.5);
    expect(progressOf(t({ state: 'complete' }), [], at)).toBe(1);
    expect(progressOf(t({}), [run(25)], at)).toBe(null);
  });

  it('stored numbers go to the run with the same number', () => {
    const runs = [{ pair_id: 1, total: null }, { pair_id: 2, total: { sent: 5 } }, { pair_id: 3, total: null }] as unknown as TestRun[];
    const stored = [{ pair_id: 1, sent: 7 }, { pair_id: 2, sent: 8 }, { pair_id: 9, sent: 9 }] as unknown as ReportRow[];
    expect(withTotals(runs, stored).map((r) => r.total?.sent ?? null)).toEqual([7, 5, null]);
  });
  it('goes by the answer that has more of its probes', () => {
    const part = { sent: 86 } as Total;
    const whole = { sent: 150 } as Total;
    expect(further(part, whole)).toBe(whole);
    expect(further(whole, part)).toBe(whole);
    expect(further(null, part)).toBe(part);
    expect(further(part, null)).toBe(part);
    expect(further(null, null)).toBe(null);
  });

  const probe = (seq: number, fate: string): Probe => ({ seq, fate, t1: `t${seq}` }) as Probe;
  it('probes whose fate was unknown are replaced', () => {
    const known = merge([], [probe(1, 'received'), probe(2, 'in_flight'), probe(3, 'received')]);
    expect(from(known)).toBe('t2');
    const now = merge(known, [probe(2, 'lost'), probe(4, 'received')]);
    expect(now.map((p) => `${p.seq}${p.fate}`)).toEqual(['1received', '2lost', '3received', '4received']);
    expect(from(now)).toBe('t4');
  });

  const progress = (state: string): Progress => ({ info: { test_id: 7, state, runs: 1 }, runs: [], next_run: 0, packets: [] }) as unknown as Progress;
  async function kept(answers: (Progress | Error)[]): Promise<{ keeper: Keeper; asked: string[] }> {
    const asked: string[] = [];
    const keeper = new Keeper(async <T,>(path: string): Promise<T> => {
      asked.push(path);
      const next = answers[asked.length - 1] ?? new Error('asked too often');
      if (next instanceof Error) throw next;
      return next as T;
    }, 0);
    keeper.keep({ test_id: 7 } as Test);
    for (let i = 0; i < 100 && !keeper.get(7)!.over; i++) await new Promise((r) => setTimeout(r, 1));
    return { keeper, asked };
  }
  it('is asked for until it is over, through its end', async () => {
    const { keeper, asked } = await kept([progress('running'), progress('stopping'), progress('stopped')]);
    expect(asked).toEqual(Array(3).fill('tests/7/progress'));
    expect(keeper.get(7)!.progress!.info.state).toBe('stopped');
  });
  it('an answer that fails does not end it, one that does not know it does', async () => {
    const { keeper, asked } = await kept([progress('running'), new ApiError(0, 'no answer'), new ApiError(404, 'no test 7')]);
    expect(asked.length).toBe(3);
    expect(keeper.get(7)!.error!.message).toBe('no test 7');
    expect(keeper.get(7)!.progress!.info.state).toBe('running');
  });
  it('pairs of a large mesh come in parts', async () => {
    const part = (n: number, next: number): Progress => ({ ...progress('complete'), runs: [{ source: `s${n}` }], next_run: next }) as unknown as Progress;
    const { keeper } = await kept([part(1, 1), part(2, 2), part(3, 0)]);
    expect(keeper.get(7)!.progress!.runs.map((r) => r.source)).toEqual(['s1', 's2', 's3']);
  });
});

describe('what is the matter with a controller', () => {
  const now = Date.parse('2026-11-27T12:03:00Z');
  const c = (change: Partial<Controller>): Controller => ({
    name: 'ctl-1', state: 'up', self: false, version: '0.2.0', host: 'h', agents_address: '', http_address: '', started: null, gone: null, agents: 1, planner: false, ready: true,
    problem: '', twin: false, other_release: false, ...change,
  });
  for (const [name, change, want] of [
    ['nothing', {}, []],
    ['missing', { state: 'missing', gone: '2026-11-27T12:00:00Z', ready: false }, ['missing for 3 min']],
    ['ended by itself', { state: 'ended', gone: '2026-11-27T12:00:00Z', ready: false, other_release: true }, []],
    ['not ready', { ready: false, problem: 'history at ch cannot be used' }, ['history at ch cannot be used']],
    ['not ready, and does not say why', { ready: false }, ['not ready']],
    ['two of a name, of two releases', { twin: true, other_release: true, version: '0.1.0' }, ['another one has its name', 'of another release: 0.1.0']],
  ] as [string, Partial<Controller>, string[]][])
    it(name, () => expect(controllerConcerns(c(change), now).map((x) => x.text)).toEqual(want));
});
