/* One test: how it goes on, and what it measured. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { count, millis, percent, plural, seconds, time } from '../../format';
import { useNow } from '../../live/hooks';
import { href } from '../../router';
import { Table, type Column } from '../../ui/Table';
import { useThemeVersion } from '../../ui/theme';
import { Empty, ErrorBox, Section, StateBadge } from '../../ui/parts';
import { ReadOnly, useWhyNot } from '../ops/dialog';
import { Answered, OpsPage, useData } from '../ops/parts';
import { nsText } from '../ops/text';
import type { Probe, Report, ReportRow, Test, TestRun, TestShow, Total } from '../ops/types';
import { going, keeper, type Kept } from './keeper';

export function testState(state: string): string {
  if (state === 'complete') return 'ok';
  if (state === 'queued' || state === 'starting') return 'pending';
  if (state === 'running' || state === 'stopping' || state === 'ending') return 'running';
  return state === 'failed' || state === 'refused' ? 'refused' : 'partial';
}

/* How far it is, 0 to 1; null if that cannot be said. */
export function progressOf(t: Test, runs: readonly TestRun[], now: number): number | null {
  if (!going(t.state)) return 1;
  if (t.runs > 1) return (t.done + t.failed) / t.runs;
  const run = runs[0];
  const parts: number[] = [];
  if (t.count && run?.total) parts.push((Number(run.total.sent) || 0) / t.count);
  const began = millis(run?.started ?? null);
  if (t.duration_ns && began) parts.push((now - began) / (t.duration_ns / 1e6));
  return parts.length ? Math.max(0, Math.min(1, Math.max(...parts))) : null;
}

const n = (total: Total | null, key: string): number | null => (total && typeof total[key] === 'number' ? (total[key] as number) : null);

export function Meter(p: { value: number | null; label: string; tone?: string }) {
  if (p.value === null) return null;
  const part = Math.max(0, Math.min(1, p.value));
  return (
    <span class={`meter ${p.tone ? `tone-${p.tone}` : ''}`} role="progressbar" aria-label={p.label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(part * 100)}>
      <span style={{ width: `${part * 100}%` }} />
    </span>
  );
}

function Numbers(p: { runs: readonly TestRun[] }) {
  const run = p.runs[0];
  const sum = (key: string) => p.runs.reduce((s, r) => s + (n(r.total, key) ?? 0), 0);
  const sent = sum('sent');
  const one = p.runs.length === 1;
  return (
    <div class="big-numbers">
      {(
        [
          ['sent', count(sent)],
          ['received', count(sum('received'))],
          ['lost', count(sum('lost'))],
          ['loss', sent ? percent(sum('lost') / sent) : '-'],
          ...(one && run
            ? [
                ['in flight', count(run.in_flight)],
                ['last RTT', run.last_known ? seconds(run.last_rtt_ns / 1e9) : '-'],
                ['RTT min', seconds(n(run.total, 'delay_roundtrip_min_seconds'))],
                ['p50', seconds(n(run.total, 'delay_roundtrip_p50_seconds'))],
                ['p99', seconds(n(run.total, 'delay_roundtrip_p99_seconds'))],
              ]
            : []),
        ] as [string, string][]
      ).map(([name, value]) => (
        <div key={name}>
          <span>{name}</span>
          <b>{value}</b>
        </div>
      ))}
    </div>
  );
}

const ways = [
  ['Round trip', 'roundtrip'],
  ['Forward', 'forward'],
  ['Backward', 'backward'],
] as const;

function Delays({ total }: { total: Total }) {
  const cell = (way: string, what: string) => seconds(n(total, `delay_${way}_${what}_seconds`));
  const valid = total.one_way_valid === true;
  return (
    <Section title="Delays">
      <Table
        caption="Delays"
        name="delays"
        rows={ways}
        rowKey={(r) => r[1]}
        columns={[
          { key: 'way', title: 'Way', cell: (r) => r[0] },
          ...['min', 'mean', 'p50', 'p90', 'p95', 'p99', 'max'].map((what): Column<(typeof ways)[number]> => ({ key: what, title: what, num: true, cell: (r) => cell(r[1], what) })),
          { key: 'jitter', title: 'Jitter', hint: 'RFC 3550', num: true, cell: (r) => cell(r[1], 'jitter_rfc3550') },
        ]}
      />
      <p class="dim">
        {valid ? `The clocks agree within ${seconds(n(total, 'one_way_error_bound_seconds'))}.` : 'The clocks of both ends do not bear out one-way delays: do not trust forward and backward.'} Lost:{' '}
        {count(n(total, 'lost_forward'))} forward, {count(n(total, 'lost_backward'))} backward, {count(n(total, 'lost_unknown'))} cannot be told. TTL {count(n(total, 'ttl_forward_min'))} forward,{' '}
        {count(n(total, 'ttl_backward_min'))} backward. {plural(n(total, 'duplicates') ?? 0, 'duplicate')}, {count(n(total, 'reordered_roundtrip'))} reordered.
      </p>
    </Section>
  );
}

const fate: Record<string, string> = { lost: '--critical', late: '--warning', send_error: '--warning', received: '--accent', in_flight: '--off' };

function draw(canvas: HTMLCanvasElement, probes: readonly Probe[]): void {
  const ratio = devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const g = canvas.getContext('2d');
  if (!g) return;
  g.scale(ratio, ratio);
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const rtt = probes.map((p) => (p.forward_ns + p.backward_ns) / 1e9);
  const top = Math.max(...rtt.filter((_, i) => probes[i]!.fate === 'received'), 1e-6) * 1.15;
  const first = probes[0]!.seq;
  const range = Math.max(1, probes[probes.length - 1]!.seq - first);
  const x = (p: Probe) => 6 + ((p.seq - first) / range) * (width - 12);
  g.font = '11px system-ui, sans-serif';
  g.fillStyle = colour('--dim');
  g.fillText(seconds(top / 1.15), 6, 13);
  g.strokeStyle = colour('--line');
  g.beginPath();
  const line = height - (height - 8) / 1.15;
  g.moveTo(0, line);
  g.lineTo(width, line);
  g.stroke();
  probes.forEach((p, i) => {
    g.fillStyle = colour(fate[p.fate] ?? '--unknown');
    // Lost ones go through the whole height, so that they differ by more than colour.
    if (p.fate === 'lost') g.fillRect(x(p) - 1, 0, 2, height);
    else if (p.fate !== 'in_flight') g.fillRect(x(p) - 1.5, height - 4 - (rtt[i]! / top) * (height - 8), 3, 3);
  });
}

function Probes(p: { probes: readonly Probe[] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const theme = useThemeVersion();
  useEffect(() => {
    if (canvas.current && p.probes.length) draw(canvas.current, p.probes);
  }, [p.probes, theme]);
  if (!p.probes.length) return null;
  const lost = p.probes.filter((x) => x.fate === 'lost');
  const text = `Round trips of probes ${p.probes[0]!.seq} to ${p.probes[p.probes.length - 1]!.seq}; ${lost.length ? `lost: ${lost.slice(0, 30).map((x) => `${x.seq} (${x.way})`).join(', ')}${lost.length > 30 ? ', ...' : ''}` : 'none of them lost'}`;
  return (
    <Section title="Each probe">
      <canvas ref={canvas} class="probe-plot" role="img" aria-label={text} />
      <p class="dim">{text}. A bar through the whole height is a lost probe.</p>
    </Section>
  );
}

const runs: readonly Column<TestRun>[] = [
  { key: 'pair', title: 'Pair', sort: (r) => `${r.source} > ${r.target}`, cell: (r) => `${r.source} > ${r.target}` },
  { key: 'state', title: 'State', sort: (r) => r.state, cell: (r) => <StateBadge state={testState(r.state)} text={r.state.replace(/_/g, ' ')} /> },
  { key: 'sent', title: 'Sent', num: true, sort: (r) => n(r.total, 'sent'), cell: (r) => count(n(r.total, 'sent')) },
  { key: 'lost', title: 'Lost', num: true, sort: (r) => n(r.total, 'lost'), cell: (r) => count(n(r.total, 'lost')) },
  { key: 'loss', title: 'Loss', num: true, sort: (r) => n(r.total, 'loss_ratio'), cell: (r) => percent(n(r.total, 'loss_ratio')) },
  { key: 'fwd', title: 'Fwd', num: true, sort: (r) => n(r.total, 'lost_forward'), cell: (r) => count(n(r.total, 'lost_forward')) },
  { key: 'bwd', title: 'Bwd', num: true, sort: (r) => n(r.total, 'lost_backward'), cell: (r) => count(n(r.total, 'lost_backward')) },
  ...['min', 'p50', 'p95', 'p99', 'max'].map((what): Column<TestRun> => ({
    key: what,
    title: `RTT ${what}`,
    num: true,
    sort: (r) => n(r.total, `delay_roundtrip_${what}_seconds`),
    cell: (r) => seconds(n(r.total, `delay_roundtrip_${what}_seconds`)),
  })),
  { key: 'jitter', title: 'Jitter', num: true, sort: (r) => n(r.total, 'delay_roundtrip_jitter_rfc3550_seconds'), cell: (r) => seconds(n(r.total, 'delay_roundtrip_jitter_rfc3550_seconds')) },
  { key: 'reason', title: 'Reason', sort: (r) => r.reason, cell: (r) => r.reason || '-' },
];

function useKept(id: number): Kept | null {
  const [kept, setKept] = useState(() => keeper.get(id));
  useEffect(() => {
    setKept(keeper.get(id));
    return keeper.subscribe(() => setKept(keeper.get(id)));
  }, [id]);
  return kept;
}

/* States that say how it ended, in full. */
const ends: Record<string, string> = {
  abandoned: 'Nobody asked for it for 5 s, so the controller stopped it.',
  stopped: 'It was stopped.',
  interrupted: 'The controller was restarted meanwhile.',
};

function Stop(p: { id: number }) {
  const readOnly = useWhyNot() !== '';
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const stop = async () => {
    setBusy(true);
    setError(null);
    try {
      await keeper.stop(p.id);
    } catch (e) {
      setError(e instanceof Error ? e : new Error(String(e)));
      setBusy(false);
    }
  };
  return (
    <>
      <button type="button" class="danger" disabled={busy || readOnly} onClick={() => void stop()}>
        {busy ? 'Stopping...' : 'Stop'}
      </button>
      <ReadOnly />
      <ErrorBox error={error} />
    </>
  );
}

function Body(p: { test: Test; runs: readonly TestRun[]; kept: Kept | null; missing: string }) {
  const now = useNow();
  const { test } = p;
  const running = going(test.state);
  const single = p.runs.length === 1;
  const total = p.runs[0]?.total ?? null;
  return (
    <>
      <p>
        {test.settings}
        {test.count ? `, ${plural(test.count, 'probe')}` : ''}
        {test.duration_ns ? `, ${nsText(test.duration_ns)}` : ''}. Begun {time(test.started)}
        {test.author ? ` by ${test.author}` : ''}
        {test.ended ? `, over ${time(test.ended)}` : ''}.
      </p>
      <div class="bar" role="status">
        <StateBadge state={testState(test.state)} text={test.state.replace(/_/g, ' ')} />
        <span>{`${test.done} of ${plural(test.runs, 'pair')} done${test.running ? `, ${test.running} running` : ''}${test.queued ? `, ${test.queued} waiting` : ''}${test.failed ? `, ${test.failed} failed` : ''}`}</span>
        {running ? <Stop id={test.test_id} /> : null}
        {ends[test.state] ? <span class="dim">{ends[test.state]}</span> : null}
      </div>
      {running ? <Meter value={progressOf(test, p.runs, now)} label="Progress of the test" /> : null}
      {running && !p.kept ? <p class="tone-warning">It was not started in this tab: its numbers come when it is over.</p> : null}
      {p.kept?.error ? <ErrorBox error={p.kept.error} stale /> : null}
      {p.runs.some((r) => r.total) ? <Numbers runs={p.runs} /> : null}
      {p.missing ? <p class="dim">{p.missing === 'coming' ? 'What was measured is on its way through the spools of agents.' : 'Of some pairs nothing is stored of its time.'}</p> : null}
      {single && p.runs[0]!.reason ? (
        <div class="error-box" role="alert">
          {p.runs[0]!.reason}
        </div>
      ) : null}
      {single && p.kept ? <Probes probes={p.kept.probes} /> : null}
      {single && total ? <Delays total={total} /> : null}
      {p.runs.length > 1 ? (
        <Section title="Pairs">
          <Table caption="Pairs of the test" name="runs" columns={runs} rows={p.runs} rowKey={(r) => `${r.source}/${r.target}`} initialSort="-loss" />
        </Section>
      ) : null}
    </>
  );
}

/* Of the same probes: results come piece by piece, so the one with more of them is further. */
export function further(a: Total | null, b: Total | null): Total | null {
  return (n(b, 'sent') ?? -1) > (n(a, 'sent') ?? -1) ? b : a;
}

/* The runs with what is stored of them: a pair of a test has a number of its own, and its summaries are of the test's time. */
export function withTotals(runs: readonly TestRun[], stored: readonly ReportRow[]): TestRun[] {
  const by = new Map(stored.map((r) => [r.pair_id, r]));
  return runs.map((r) => ({ ...r, total: r.total ?? (by.get(r.pair_id) as Total | undefined) ?? null }));
}

const waiting = (r: TestRun) => !r.total && (r.state === 'complete' || r.state === 'stopped' || r.state === 'abandoned');
const later = (at: string | null, ms: number) => (millis(at) === null ? null : new Date(millis(at)! + ms).toISOString());

/* A test that is over, or not ours: its state comes with news of tests, its numbers with the results, for the agents' spools have them first. */
function useStored(id: number | null) {
  const [waits, setWaits] = useState(true);
  const show = useData<TestShow>(id === null ? null : `tests/${id}`, {}, 'tests');
  const test = show.data?.tests[0] ?? null;
  const over = test !== null && !going(test.state);
  const report = useData<Report>(over ? 'report' : null, { mesh: 'on-demand', from: test?.started, to: later(test?.ended ?? null, 1000), limit: 10000 }, waits ? 'published' : null);
  const runs = withTotals(show.data?.runs ?? [], report.data?.pairs ?? []);
  const missing = runs.some(waiting);
  // What is not there after a minute has been dropped, or is older than what is kept. Until then what there is may be a part of it.
  const ended = millis(test?.ended ?? null);
  const old = over && ended !== null && Date.now() - ended > 60_000;
  useEffect(() => setWaits(!old), [old]);
  return { show, test, runs, missing: report.data !== null && missing, old, error: show.error ?? report.error };
}

/* Runs as this tab saw them last, with how they ended. */
function finished(seen: readonly TestRun[], stored: readonly TestRun[]): TestRun[] {
  const by = new Map(stored.map((r) => [r.pair_id, r]));
  return seen.map((r) => {
    const s = by.get(r.pair_id);
    return s ? { ...s, total: further(s.total, r.total), last_known: r.last_known, last_rtt_ns: r.last_rtt_ns } : r;
  });
}

export function TestView(p: { id: number }) {
  const kept = useKept(p.id);
  const live = kept !== null && !kept.over;
  const stored = useStored(live ? null : p.id);
  const test = live ? (kept.progress?.info ?? null) : (stored.test ?? kept?.progress?.info ?? null);
  // What this tab has seen of it is the same, and there at once.
  const seen = kept?.progress?.runs ?? [];
  const rows = seen.length ? (live ? seen : finished(seen, stored.runs)) : stored.runs;
  return (
    <OpsPage
      title={test ? `Test ${test.what}` : `Test ${p.id}`}
      aside={
        <>
          <a href={href('test')}>All tests</a>
          <span class="dim">number {p.id}</span>
        </>
      }
    >
      {test ? (
        <Body test={test} runs={rows} kept={kept} missing={!live && rows.some(waiting) ? (stored.old ? 'nothing' : 'coming') : ''} />
      ) : live ? (
        <p class="dim" role="status">
          Starting...
        </p>
      ) : (
        <Answered answer={stored.show} what="the test">
          {() => <Empty>No test has the number {p.id}.</Empty>}
        </Answered>
      )}
      {test ? <ErrorBox error={live ? null : stored.error} stale={rows.length > 0} /> : null}
    </OpsPage>
  );
}
