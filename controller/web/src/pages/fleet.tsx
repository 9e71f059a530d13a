import type { Agent, Agents } from '../api/types';
import { seconds } from '../format';
import { useApi } from '../live/hooks';
import { Table, type Column } from '../ui/Table';
import { Ago, ErrorBox, Loading, Page, StateBadge } from '../ui/parts';

const order = { down: 0, pending: 1, up: 2, revoked: 3 };

const columns: readonly Column<Agent>[] = [
  { key: 'name', title: 'Agent', sort: (a) => a.name, cell: (a) => a.name },
  { key: 'state', title: 'State', sort: (a) => order[a.state], cell: (a) => <StateBadge state={a.state} /> },
  { key: 'contact', title: 'Contact', num: true, cell: (a) => <Ago at={a.last_contact} /> },
  {
    key: 'labels',
    title: 'Labels',
    cell: (a) =>
      Object.entries(a.labels)
        .map(([k, v]) => `${k}=${v}`)
        .join(' '),
  },
  {
    key: 'generation',
    title: 'Schedule',
    hint: 'the generation that it runs, and that which it should run',
    num: true,
    sort: (a) => a.generation,
    cell: (a) => (a.generation === a.generation_wanted ? a.generation : `${a.generation} of ${a.generation_wanted}`),
  },
  { key: 'pairs', title: 'Pairs', num: true, sort: (a) => a.pairs, cell: (a) => a.pairs },
  { key: 'spool', title: 'Spool', hint: 'summaries that wait to be taken', num: true, sort: (a) => a.health?.spool_summaries ?? null, cell: (a) => a.health?.spool_summaries ?? '-' },
  { key: 'dropped', title: 'Dropped', hint: 'summaries that the spool had to drop', num: true, sort: (a) => a.health?.spool_dropped ?? null, cell: (a) => a.health?.spool_dropped ?? '-' },
  {
    key: 'clock',
    title: 'Clock',
    sort: (a) => (a.health ? a.health.clock.max_error_ns : null),
    cell: (a) => (a.health ? (a.health.clock.synced ? `synced, error up to ${seconds(a.health.clock.max_error_ns / 1e9)}` : 'not synced') : '-'),
  },
  { key: 'software', title: 'Software', sort: (a) => a.software, cell: (a) => a.software },
];

export function Fleet() {
  const { data, error, reload } = useApi<Agents>('agents', {}, 'agents');
  return (
    <Page title="Fleet">
      <ErrorBox error={error} stale={data !== null} retry={reload} />
      {data ? <Table caption="Agents" columns={columns} rows={data.agents} rowKey={(a) => a.name} initialSort="state" empty="No agent has made contact yet." /> : error ? null : <Loading what="agents" />}
    </Page>
  );
}
