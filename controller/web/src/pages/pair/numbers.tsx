/* The numbers of the pair as a table: now, over what is shown, and over the same span before. */
import { count, percent, seconds } from '../../format';
import { Table, type Column } from '../../ui/Table';
import { delay, DIRECTIONS, directionWord, number, tosText, ttlText } from './model';
import type { Direction, Numbers } from './types';

export interface Block {
  when: string;
  of: Partial<Numbers> | null;
}

interface Row {
  key: string;
  when: string;
  way: string;
  direction: Direction | 'unknown';
  n: Partial<Numbers>;
  bright: boolean;
}

const LOSS: Record<Row['direction'], [string, string]> = {
  roundtrip: ['lost', 'loss_ratio'],
  forward: ['lost_forward', 'loss_forward_ratio'],
  backward: ['lost_backward', 'loss_backward_ratio'],
  unknown: ['lost_unknown', 'loss_unknown_ratio'],
};

function value(r: Row, what: string): string {
  if (r.direction === 'unknown') return '';
  const text = seconds(delay(r.direction, what)(r.n));
  const doubtful = r.direction !== 'roundtrip' && r.n.one_way_valid !== true && !what.startsWith('jitter');
  return doubtful && text !== '-' ? `${text}?` : text;
}

const way = (r: Row) => (r.direction === 'forward' || r.direction === 'backward' ? r.direction : null);

const columns: readonly Column<Row>[] = [
  { key: 'when', title: 'When', cell: (r) => r.when },
  { key: 'way', title: 'Direction', cell: (r) => (r.bright ? <strong>{r.way}</strong> : r.way) },
  { key: 'loss', title: 'Loss', num: true, cell: (r) => percent(number(r.n, LOSS[r.direction][1])) },
  { key: 'lost', title: 'Lost', num: true, hint: 'probes', cell: (r) => `${count(number(r.n, LOSS[r.direction][0]))}${r.direction === 'roundtrip' ? ` of ${count(number(r.n, 'sent'))}` : ''}` },
  { key: 'p50', title: 'P50', num: true, cell: (r) => value(r, 'p50') },
  { key: 'p95', title: 'P95', num: true, cell: (r) => value(r, 'p95') },
  { key: 'p99', title: 'P99', num: true, cell: (r) => value(r, 'p99') },
  { key: 'max', title: 'Max', num: true, cell: (r) => value(r, 'max') },
  { key: 'jitter', title: 'Jitter', num: true, hint: 'RFC 3550', cell: (r) => value(r, 'jitter_rfc3550') },
  { key: 'ipdv', title: 'IPDV', num: true, hint: 'mean difference of neighbours, RFC 3393', cell: (r) => value(r, 'jitter_ipdv') },
  { key: 'ttl', title: 'TTL', num: true, hint: 'as it arrived', cell: (r) => (way(r) ? (ttlText(r.n, way(r) ?? 'forward') ?? '-') : '') },
  { key: 'dscp', title: 'DSCP', num: true, hint: 'as it arrived', cell: (r) => (way(r) ? (tosText(r.n, way(r) ?? 'forward') ?? '-') : '') },
];

function rows(blocks: readonly Block[], chosen: Direction): Row[] {
  return blocks.flatMap((b) => {
    const n = b.of;
    if (!n) return [];
    const all: Row[] = DIRECTIONS.map(([direction]) => ({ key: `${b.when} ${direction}`, when: b.when, way: directionWord(direction), direction, n, bright: direction === chosen }));
    if ((number(n, 'lost_unknown') ?? 0) > 0) all.push({ key: `${b.when} unknown`, when: b.when, way: 'direction unknown', direction: 'unknown', n, bright: false });
    return all;
  });
}

export function NumbersTable(p: { blocks: readonly Block[]; direction: Direction }) {
  return <Table caption="Numbers of the pair" name="numbers" columns={columns} rows={rows(p.blocks, p.direction)} rowKey={(r) => r.key} rowClass={(r) => (r.direction === 'roundtrip' ? 'block-first' : '')} empty="Nothing was measured." />;
}
