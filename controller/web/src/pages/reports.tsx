import type { PairNumbers, Report } from '../api/types';
import { percent, seconds } from '../format';
import { useApi } from '../live/hooks';
import { href, setQuery, useRoute } from '../router';
import { apiUrl } from '../api/client';
import { Table, type Column } from '../ui/Table';
import { ErrorBox, Loading, Page, Select, StateBadge } from '../ui/parts';

const spans: readonly (readonly [string, string])[] = [
  ['-1h', 'last hour'],
  ['-1d', 'last day'],
  ['-7d', 'last 7 days'],
  ['-30d', 'last 30 days'],
];

const columns: readonly Column<PairNumbers>[] = [
  { key: 'mesh', title: 'Mesh/class', sort: (p) => `${p.mesh}/${p.class}`, cell: (p) => `${p.mesh}/${p.class}` },
  {
    key: 'pair',
    title: 'Pair',
    sort: (p) => `${p.source} > ${p.target}`,
    cell: (p) => <a href={href('pair', { mesh: p.mesh, class: p.class, source: p.source, target: p.target })}>{`${p.source} > ${p.target}`}</a>,
  },
  { key: 'state', title: 'State', sort: (p) => p.state, cell: (p) => <StateBadge state={p.state} /> },
  { key: 'loss', title: 'Loss', num: true, sort: (p) => p.loss_ratio, cell: (p) => percent(p.loss_ratio) },
  { key: 'fwd', title: 'Fwd', num: true, sort: (p) => p.loss_forward_ratio, cell: (p) => percent(p.loss_forward_ratio) },
  { key: 'bwd', title: 'Bwd', num: true, sort: (p) => p.loss_backward_ratio, cell: (p) => percent(p.loss_backward_ratio) },
  { key: 'p50', title: 'RTT P50', num: true, sort: (p) => p.delay_roundtrip_p50_seconds, cell: (p) => seconds(p.delay_roundtrip_p50_seconds) },
  { key: 'p95', title: 'P95', num: true, sort: (p) => p.delay_roundtrip_p95_seconds, cell: (p) => seconds(p.delay_roundtrip_p95_seconds) },
  { key: 'p99', title: 'P99', num: true, sort: (p) => p.delay_roundtrip_p99_seconds, cell: (p) => seconds(p.delay_roundtrip_p99_seconds) },
  { key: 'availability', title: 'Avail', num: true, sort: (p) => p.availability_ratio, cell: (p) => percent(p.availability_ratio) },
  { key: 'complete', title: 'Complete', num: true, sort: (p) => p.completeness.ratio, cell: (p) => percent(p.completeness.ratio) },
];

export function Reports() {
  const { query } = useRoute();
  const from = query.get('from') ?? '-1h';
  const names = { mesh: query.get('mesh'), class: query.get('class') };
  const { data, error, reload } = useApi<Report>('report', { from, ...names });
  return (
    <Page
      title="Reports"
      aside={
        <>
          <Select label="Span" value={from} options={spans.some(([v]) => v === from) ? spans : [...spans, [from, from]]} onChange={(v) => setQuery({ from: v === '-1h' ? null : v })} />
          <a href={apiUrl('report', { from, ...names, format: 'csv' })}>CSV</a>
          <a href={apiUrl('report', { from, ...names, format: 'html' })}>To print</a>
          <button type="button" onClick={reload}>
            Make anew
          </button>
        </>
      }
    >
      <ErrorBox error={error} stale={data !== null} retry={reload} />
      {data ? <Table caption="Pairs over the span" columns={columns} rows={data.pairs} rowKey={(p) => `${p.mesh}/${p.class}/${p.source}/${p.target}`} initialSort="-loss" empty="Nothing was scheduled or is stored in this span." /> : error ? null : <Loading what="the report" />}
      {data?.truncated ? <p class="dim">There are more pairs: choose a mesh and class in the address, or use twampctl report.</p> : null}
    </Page>
  );
}
