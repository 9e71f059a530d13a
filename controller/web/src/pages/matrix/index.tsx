import type { PairNumbers } from '../../api/types';
import { percent, seconds } from '../../format';
import { useApi } from '../../live/hooks';
import { href } from '../../router';
import { Table, type Column } from '../../ui/Table';
import { ErrorBox, Loading, Page, StateBadge } from '../../ui/parts';

interface PairRow {
  mesh: string;
  class: string;
  source: string;
  target: string;
  state: string;
  last: PairNumbers | null;
}

const columns: readonly Column<PairRow>[] = [
  { key: 'mesh', title: 'Mesh/class', sort: (p) => `${p.mesh}/${p.class}`, cell: (p) => `${p.mesh}/${p.class}` },
  {
    key: 'pair',
    title: 'Pair',
    sort: (p) => `${p.source} > ${p.target}`,
    cell: (p) => <a href={href('pair', { mesh: p.mesh, class: p.class, source: p.source, target: p.target })}>{`${p.source} > ${p.target}`}</a>,
  },
  { key: 'state', title: 'State', sort: (p) => p.state, cell: (p) => <StateBadge state={p.state} /> },
  { key: 'loss', title: 'Loss', num: true, sort: (p) => p.last?.loss_ratio ?? null, cell: (p) => percent(p.last?.loss_ratio) },
  { key: 'fwd', title: 'Fwd', num: true, sort: (p) => p.last?.loss_forward_ratio ?? null, cell: (p) => percent(p.last?.loss_forward_ratio) },
  { key: 'bwd', title: 'Bwd', num: true, sort: (p) => p.last?.loss_backward_ratio ?? null, cell: (p) => percent(p.last?.loss_backward_ratio) },
  { key: 'p95', title: 'RTT P95', num: true, sort: (p) => p.last?.delay_roundtrip_p95_seconds ?? null, cell: (p) => seconds(p.last?.delay_roundtrip_p95_seconds) },
];

export function Matrix() {
  const { data, error, reload } = useApi<{ pairs: PairRow[] }>('pairs', {}, 'published');
  return (
    <Page title="Matrix" wide>
      <ErrorBox error={error} stale={data !== null} retry={reload} />
      {data ? <Table caption="Pairs" columns={columns} rows={data.pairs} rowKey={(p) => `${p.mesh}/${p.class}/${p.source}/${p.target}`} initialSort="-loss" empty="Nothing is scheduled." /> : error ? null : <Loading what="pairs" />}
    </Page>
  );
}
