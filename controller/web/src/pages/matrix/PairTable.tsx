/* The same as the grid, as a table: for screen readers, for sorting, and for those who like lists. */
import { href } from '../../router';
import { Table, type Column } from '../../ui/Table';
import { Since, StateBadge } from '../../ui/parts';
import { isWrong, matches, type Cell, type Model, type Sev } from './model';
import { notes, pairName, rankText, value } from './words';
import type { SinceOf } from './Worst';

const words = ['ok', 'info', 'warning', 'critical'];

export function PairTable(p: { model: Model; find: string; onlyWrong: boolean; since: SinceOf }) {
  const m = p.model.answer;
  const name = (i: number) => m.nodes[i]?.name ?? '?';
  const since = (c: Cell) => p.since(name(c.source), name(c.target));
  const number = (v: number | null, sev: Sev) => (
    <span class={sev !== null && sev > 1 ? `tone-${words[sev] ?? ''}` : ''}>
      {value(m, v)}
      {sev !== null && sev > 1 ? ` (${words[sev] ?? ''})` : ''}
    </span>
  );
  const columns: readonly Column<Cell>[] = [
    { key: 'rank', title: 'How bad', sort: (c) => c.rank, cell: (c) => (c.rank ? rankText(c.rank) : '') },
    {
      key: 'pair',
      title: 'Pair',
      sort: (c) => pairName(m, c),
      cell: (c) => <a href={href('pair', { mesh: m.mesh, class: m.class, source: name(c.source), target: name(c.target) })}>{pairName(m, c)}</a>,
    },
    { key: 'state', title: 'State', sort: (c) => c.state, cell: (c) => <StateBadge state={c.state} /> },
    { key: 'value', title: m.unit === 'ratio' ? 'Loss' : 'Round trip', num: true, sort: (c) => c.roundtrip, cell: (c) => number(c.roundtrip, c.sevRoundtrip) },
    { key: 'fwd', title: 'Forward', num: true, sort: (c) => c.forward, cell: (c) => number(c.forward, c.sevForward) },
    { key: 'bwd', title: 'Backward', num: true, sort: (c) => c.backward, cell: (c) => number(c.backward, c.sevBackward) },
    ...(m.unit === 'ratio' ? [{ key: 'unknown', title: 'Unknown', num: true, sort: (c: Cell) => c.unknown, cell: (c: Cell) => value(m, c.unknown) }] : []),
    { key: 'since', title: 'Since', sort: since, cell: (c) => (since(c) ? <Since at={since(c)} /> : '') },
    { key: 'notes', title: 'Notes', cell: (c) => notes(c).join('; ') },
  ];
  const find = p.find.trim();
  const rows = p.model.cells.filter((c) => (!p.onlyWrong || isWrong(c)) && (!find || matches(m, c.source, find) || matches(m, c.target, find)));
  return <Table caption={`Pairs of ${m.mesh} / ${m.class}`} columns={columns} rows={rows} rowKey={(c) => `${c.source}/${c.target}`} initialSort="-rank" empty={p.onlyWrong ? 'Nothing is wrong.' : 'No pair.'} />;
}
