/* Numbers over a span: of pairs and groups, the worst, beside an earlier span, and against objectives. */
import { apiUrl } from '../../api/client';
import { percent, plural, seconds } from '../../format';
import { setQuery, useRoute, type Query } from '../../router';
import { Table, type Column } from '../../ui/Table';
import { ErrorBox, Select, StateBadge } from '../../ui/parts';
import { SPANS } from '../../ui/spans';
import { Answered, Filter, OpsPage, PairLink, Tabs, useData } from '../ops/parts';
import type { Mesh, Report, ReportRow } from '../ops/types';
import { SpanBar } from './bar';
import { apiQuery, views } from './query';
import { SlaForm, SlaView } from './sla';

const MOST = 2000;

/* Numbers by which the worst are found, as the API names them; of all but two the highest are the worst. */
export const sorts: readonly (readonly [string, string])[] = [
  ['loss_ratio', 'loss'],
  ['loss_forward_ratio', 'loss forward'],
  ['loss_backward_ratio', 'loss backward'],
  ['delay_roundtrip_p50_seconds', 'RTT p50'],
  ['delay_roundtrip_p95_seconds', 'RTT p95'],
  ['delay_roundtrip_p99_seconds', 'RTT p99'],
  ['delay_roundtrip_jitter_rfc3550_seconds', 'jitter'],
  ['delay_forward_p95_seconds', 'forward p95'],
  ['delay_backward_p95_seconds', 'backward p95'],
  ['availability_ratio', 'availability'],
  ['completeness_ratio', 'completeness'],
  ['mos_g711', 'MOS G.711'],
  ['loss_runs', 'loss runs'],
];

const number = (r: ReportRow, key: string): number | null => (typeof r[key] === 'number' ? (r[key] as number) : null);
const ratio = (key: string, title: string, hint?: string): Column<ReportRow> => ({ key, title, ...(hint ? { hint } : {}), num: true, sort: (r) => number(r, key), cell: (r) => percent(number(r, key)) });
const delay = (key: string, title: string, hint?: string): Column<ReportRow> => ({ key, title, ...(hint ? { hint } : {}), num: true, sort: (r) => number(r, key), cell: (r) => seconds(number(r, key)) });

const ofPair: readonly Column<ReportRow>[] = [
  { key: 'mesh', title: 'Mesh/class', sort: (r) => `${r.mesh}/${r.class}`, cell: (r) => `${r.mesh}/${r.class}` },
  { key: 'pair', title: 'Pair', sort: (r) => `${r.source} > ${r.target}`, cell: (r) => <PairLink mesh={r.mesh} class={r.class} source={r.source} target={r.target} /> },
  { key: 'state', title: 'State', hint: 'as it is now', sort: (r) => r.state, cell: (r) => <StateBadge state={r.state} /> },
];
const ofGroup = (by: string): readonly Column<ReportRow>[] => [
  { key: 'key', title: by.replace(/^label:/, ''), sort: (r) => r.key ?? '', cell: (r) => r.key || '(none)' },
  { key: 'pairs', title: 'Pairs', num: true, sort: (r) => r.pairs ?? null, cell: (r) => r.pairs ?? '-' },
];
const numbers: readonly Column<ReportRow>[] = [
  ratio('loss_ratio', 'Loss', 'of the probes sent'),
  ratio('loss_forward_ratio', 'Fwd', 'lost on the way to the target'),
  ratio('loss_backward_ratio', 'Bwd', 'lost on the way back'),
  delay('delay_roundtrip_p50_seconds', 'RTT p50'),
  delay('delay_roundtrip_p95_seconds', 'p95'),
  delay('delay_roundtrip_p99_seconds', 'p99'),
  delay('delay_roundtrip_max_seconds', 'max'),
  delay('delay_roundtrip_jitter_rfc3550_seconds', 'Jitter', 'RFC 3550, of the round trip'),
  ratio('availability_ratio', 'Avail', '10 s windows with an answer, of those judged'),
  { key: 'mos_g711', title: 'MOS', hint: 'G.711, estimated', num: true, sort: (r) => number(r, 'mos_g711'), cell: (r) => number(r, 'mos_g711')?.toFixed(2) ?? '-' },
  { key: 'complete', title: 'Complete', hint: 'report periods stored, of those expected', num: true, sort: (r) => r.completeness.ratio, cell: (r) => percent(r.completeness.ratio) },
];

/* Of what is compared; `low`: less is worse. */
const compared: readonly { key: string; title: string; ratio?: boolean; low?: boolean }[] = [
  { key: 'loss_ratio', title: 'Loss', ratio: true },
  { key: 'delay_roundtrip_p50_seconds', title: 'RTT p50' },
  { key: 'delay_roundtrip_p95_seconds', title: 'RTT p95' },
  { key: 'delay_roundtrip_p99_seconds', title: 'RTT p99' },
  { key: 'delay_roundtrip_jitter_rfc3550_seconds', title: 'Jitter' },
  { key: 'availability_ratio', title: 'Avail', ratio: true, low: true },
  { key: 'completeness_ratio', title: 'Complete', ratio: true, low: true },
];

function change(c: (typeof compared)[number]): Column<ReportRow> {
  const show = c.ratio ? percent : seconds;
  return {
    key: c.key,
    title: c.title,
    num: true,
    sort: (r) => {
      const d = r.change?.[c.key]?.delta ?? null;
      return d === null ? null : c.low ? -d : d;
    },
    cell: (r) => {
      const x = r.change?.[c.key];
      if (!x) return '-';
      // Delays that differ by less than a tenth are the same, for the eye; what is shown are both.
      const same = x.delta === null || show(x.now) === show(x.before) || (!c.ratio && x.ratio !== null && Math.abs(x.ratio - 1) < 0.1);
      const worse = !same && (c.low ? x.delta! < 0 : x.delta! > 0);
      return (
        <>
          {show(x.before)} {'\u2192'} {show(x.now)}
          {same ? null : <span class={worse ? 'worse' : 'better'}>{worse ? ' \u25b2 worse' : ' \u25bc better'}</span>}
        </>
      );
    },
  };
}

function rowKey(r: ReportRow): string {
  return r.key ?? `${r.mesh}/${r.class}/${r.source}/${r.target}`;
}

function Choices(p: { view: string; meshes: readonly Mesh[] }) {
  const { query } = useRoute();
  const from = query.get('from') ?? (p.view === 'sla' ? '' : '-1h');
  const known = p.view === 'sla' ? ([['', 'the 30 days before midnight'], ...SPANS.filter(([v]) => v !== '-15m')] as [string, string][]) : SPANS;
  const mesh = query.get('mesh') ?? '';
  const classes = [...new Set(p.meshes.filter((m) => !mesh || m.name === mesh).flatMap((m) => m.classes))];
  const choice = (none: string, all: readonly string[], now: string): [string, string][] => [['', none], ...[...new Set(now ? [...all, now] : all)].map((x): [string, string] => [x, x])];
  return (
    <div class="bar">
      <Select label="Span" value={known.some(([v]) => v === from) ? from : 'own'} options={[...known, ['own', 'from - to']]} onChange={(v) => setQuery(v === 'own' ? { from: from || '-1h', to: query.get('to') ?? '-0s' } : { from: v, to: null })} />
      {query.get('to') || !known.some(([v]) => v === from) ? (
        <>
          <Filter label="From" param="from" hint="-36h, 2026-11-01T00:00:00Z" />
          <Filter label="To" param="to" hint="now" />
        </>
      ) : null}
      <Select label="Mesh" value={mesh} options={choice('all', p.meshes.map((m) => m.name), mesh)} onChange={(v) => setQuery({ mesh: v || null })} />
      <Select label="Class" value={query.get('class') ?? ''} options={choice('all', classes, query.get('class') ?? '')} onChange={(v) => setQuery({ class: v || null })} />
      <Filter label="Source" param="source" hint="agent" />
      <Filter label="Target" param="target" hint="agent or target" />
      <Filter label="Sources with" param="select" hint="site=ams" />
      <Filter label="Targets with" param="target_select" hint="site=fra" />
    </div>
  );
}

const groups: readonly (readonly [string, string])[] = [
  ['', 'pair'],
  ['source', 'source'],
  ['target', 'target'],
  ['agent', 'agent, both ways'],
  ['mesh', 'mesh'],
  ['class', 'class'],
  ['label:site', 'site of the source'],
];

function Shape(p: { view: string }) {
  const { query } = useRoute();
  const by = query.get('by') ?? '';
  return (
    <div class="bar">
      <Select label="One row for each" value={by} options={groups.some(([v]) => v === by) ? groups : [...groups, [by, by]]} onChange={(v) => setQuery({ by: v || null })} />
      <Filter label="or label" param="by" hint="label:KEY of the source" />
      {p.view === 'top' ? (
        <>
          <Select label="Worst by" value={query.get('worst') ?? 'loss_ratio'} options={sorts} onChange={(v) => setQuery({ worst: v })} />
          <Select label="How many" value={query.get('top') ?? '10'} options={['5', '10', '25', '50', '100'].map((x) => [x, x] as const)} onChange={(v) => setQuery({ top: v })} />
        </>
      ) : null}
      {p.view === 'compare' ? (
        <Select
          label="With"
          value={query.get('back') ?? ''}
          options={[
            ['', 'the span before'],
            ['1d', 'a day before'],
            ['7d', 'a week before'],
            ['28d', 'four weeks before'],
          ]}
          onChange={(v) => setQuery({ back: v || null })}
        />
      ) : null}
    </div>
  );
}

/* The same question in other forms. A comparison has no CSV of its own: before and now stand in JSON and NDJSON. */
function Links(p: { path: string; query: Query; formats: readonly (readonly [string, string])[] }) {
  return (
    <span class="row-actions push">
      {p.formats.map(([format, text]) => (
        <a key={format} href={apiUrl(p.path, { ...p.query, limit: null, format: format === 'json' ? null : format })} {...(format === 'csv' || format === 'ndjson' ? { download: `report.${format}` } : {})}>
          {text}
        </a>
      ))}
    </span>
  );
}

const formats = [
  ['csv', 'CSV'],
  ['ndjson', 'NDJSON'],
  ['html', 'To print'],
  ['json', 'JSON'],
] as const;

function columns(view: string, by: string): readonly Column<ReportRow>[] {
  const head = by ? ofGroup(by) : view === 'compare' ? ofPair.slice(0, 2) : ofPair;
  return [...head, ...(view === 'compare' ? compared.map(change) : numbers)];
}

function ReportView(p: { view: string; query: Query; by: string }) {
  const answer = useData<Report>('report', p.query);
  const sort = p.view === 'top' ? undefined : '-loss_ratio';
  return (
    <>
      <SpanBar answer={answer}>
        <Links path="report" query={p.query} formats={formats} />
      </SpanBar>
      <Answered answer={answer} what="the report">
        {(data) => {
          const rows = data.groups ?? data.pairs ?? [];
          return (
            <>
              <Table caption="Report" name={p.view || 'report'} columns={columns(p.view, p.by)} rows={rows} rowKey={rowKey} {...(sort ? { initialSort: sort } : {})} empty="Nothing was scheduled or is stored in this span." />
              {data.truncated && p.view !== 'top' ? <p class="dim">There are more than {plural(rows.length, 'row')}: choose fewer, or group them; CSV and NDJSON have more.</p> : null}
            </>
          );
        }}
      </Answered>
    </>
  );
}

function asked(view: string, q: URLSearchParams): { query: Query | null; error: Error | null } {
  try {
    return { query: apiQuery(view, q, MOST), error: null };
  } catch (e) {
    return { query: null, error: e as Error };
  }
}

export function Reports() {
  const { query } = useRoute();
  const view = query.get('view') ?? '';
  const schedule = useData<{ meshes: Mesh[] }>('schedule', {}, 'schedule');
  const { query: api, error } = asked(view, query);
  return (
    <OpsPage title="Reports" tabs={<Tabs page="reports" label="Kinds of report" now={view} views={views} />}>
      <Choices view={view} meshes={schedule.data?.meshes ?? []} />
      {view === 'sla' ? <SlaForm /> : <Shape view={view} />}
      <ErrorBox error={error} />
      {api === null ? null : view === 'sla' ? <SlaView query={api} /> : <ReportView key={view} view={view} query={api} by={query.get('by') ?? ''} />}
    </OpsPage>
  );
}

