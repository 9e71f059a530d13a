import type { Outage, Outages, PairNumbers, Report } from '../api/types';
import { percent, plural, seconds, word } from '../format';
import { useApi } from '../live/hooks';
import { href, setQuery, useRoute } from '../router';
import { Table, type Column } from '../ui/Table';
import { Empty, ErrorBox, Loading, Page, Section, Select, Since, StateBadge } from '../ui/parts';

const spans: readonly (readonly [string, string])[] = [
  ['-15m', 'last 15 minutes'],
  ['-1h', 'last hour'],
  ['-6h', 'last 6 hours'],
  ['-1d', 'last day'],
];

interface Row {
  key: string;
  way: string;
  loss: number | null;
  lost: number | null;
  p50: number | null;
  p95: number | null;
  trusted: boolean;
}

function rows(n: PairNumbers): Row[] {
  const trusted = n.one_way_valid === true;
  return [
    { key: 'rtt', way: 'round trip', loss: n.loss_ratio, lost: n.lost, p50: n.delay_roundtrip_p50_seconds, p95: n.delay_roundtrip_p95_seconds, trusted: true },
    { key: 'fwd', way: `forward, ${n.source} to ${n.target}`, loss: n.loss_forward_ratio, lost: n.lost_forward, p50: n.delay_forward_p50_seconds, p95: n.delay_forward_p95_seconds, trusted },
    { key: 'bwd', way: `backward, ${n.target} to ${n.source}`, loss: n.loss_backward_ratio, lost: n.lost_backward, p50: n.delay_backward_p50_seconds, p95: n.delay_backward_p95_seconds, trusted },
    { key: 'unknown', way: 'direction unknown', loss: n.loss_unknown_ratio, lost: n.lost_unknown, p50: null, p95: null, trusted: true },
  ];
}

const mark = (text: string, trusted: boolean) => (trusted || text === '-' ? text : `${text}?`);

const columns: readonly Column<Row>[] = [
  { key: 'way', title: 'Direction', cell: (r) => r.way },
  { key: 'loss', title: 'Loss', num: true, cell: (r) => percent(r.loss) },
  { key: 'lost', title: 'Probes lost', num: true, cell: (r) => r.lost },
  { key: 'p50', title: 'P50', num: true, cell: (r) => mark(seconds(r.p50), r.trusted) },
  { key: 'p95', title: 'P95', num: true, cell: (r) => mark(seconds(r.p95), r.trusted) },
];

const outageColumns: readonly Column<Outage>[] = [
  { key: 'start', title: 'Begin', cell: (o) => <Since at={o.start} /> },
  { key: 'duration', title: 'Length', num: true, sort: (o) => o.duration_seconds, cell: (o) => seconds(o.duration_seconds) },
  { key: 'probes', title: 'Probes lost', num: true, sort: (o) => o.probes, cell: (o) => o.probes },
  { key: 'direction', title: 'Direction', cell: (o) => word(o.direction) },
  { key: 'flow', title: 'Flow', num: true, cell: (o) => o.flow },
  { key: 'ongoing', title: '', cell: (o) => (o.ongoing ? 'goes on' : '') },
];

export function Pair() {
  const { query } = useRoute();
  const names = { mesh: query.get('mesh'), class: query.get('class'), source: query.get('source'), target: query.get('target') };
  const from = query.get('from') ?? '-1h';
  const asked = names.source && names.target ? 'report' : null;
  const report = useApi<Report>(asked, { ...names, from }, 'published');
  const outages = useApi<Outages>(asked && 'outages', { ...names, from, limit: 100 }, 'published');
  return (
    <Page
      title={asked ? `${names.source} > ${names.target}` : 'Pair'}
      aside={
        <>
          <Select label="Span" value={from} options={spans.some(([v]) => v === from) ? spans : [...spans, [from, from]]} onChange={(v) => setQuery({ from: v === '-1h' ? null : v })} />
          <a href={href('pair', { ...names, source: names.target, target: names.source, from: query.get('from') })}>The other way round</a>
          <a href={href('matrix', { mesh: names.mesh, class: names.class })}>To the matrix</a>
        </>
      }
    >
      {asked ? null : <Empty>This address names no pair: it needs source and target.</Empty>}
      <ErrorBox error={report.error ?? outages.error} stale={report.data !== null} retry={report.reload} />
      {asked && !report.data && !report.error ? <Loading what="the pair" /> : null}
      {report.data?.pairs.length === 0 ? <Empty>No such pair is scheduled, and nothing of it is stored in this span.</Empty> : null}
      {report.data?.pairs.map((n) => (
        <Section
          key={`${n.mesh}/${n.class}`}
          title={`${n.mesh} / ${n.class}`}
          aside={
            <span>
              <StateBadge state={n.state} /> <span class="dim">{`${plural(n.sent, 'probe')} sent, ${n.received} received`}</span>
              {n.one_way_valid === false ? <span class="dim"> · ? one-way delay is not reliable: the clocks of both ends are not known to agree</span> : null}
            </span>
          }
        >
          <Table caption={`Numbers of ${n.mesh} / ${n.class}`} columns={columns} rows={rows(n)} rowKey={(r) => r.key} />
        </Section>
      ))}
      {outages.data ? (
        <Section title="Loss runs">
          <Table caption="Loss runs, newest first" name="outages" columns={outageColumns} rows={outages.data.outages} rowKey={(o) => `${o.mesh}/${o.class}/${o.flow}/${o.start}`} empty="None in this span." />
        </Section>
      ) : null}
    </Page>
  );
}
