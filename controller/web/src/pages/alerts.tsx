import type { Alert, Alerts as AlertsAnswer } from '../api/types';
import { useApi } from '../live/hooks';
import { href, setQuery, useRoute } from '../router';
import { Table, type Column } from '../ui/Table';
import { ErrorBox, Loading, Page, Select, Since, StateBadge } from '../ui/parts';

const rank = { critical: 0, warning: 1, info: 2 };

const columns: readonly Column<Alert>[] = [
  { key: 'severity', title: 'Severity', sort: (a) => rank[a.severity], cell: (a) => <StateBadge state={a.severity} /> },
  { key: 'state', title: 'State', sort: (a) => a.state, cell: (a) => (a.acked ? `${a.state}, ${a.acked_by} is on it` : a.state) },
  {
    key: 'subject',
    title: 'Subject',
    sort: (a) => a.subject,
    cell: (a) => (a.kind === 'pair' ? <a href={href('pair', { mesh: a.mesh, class: a.class, source: a.source, target: a.target })}>{a.subject}</a> : a.subject),
  },
  { key: 'summary', title: 'What', cell: (a) => a.summary },
  { key: 'since', title: 'Since', sort: (a) => a.pending, cell: (a) => <Since at={a.pending} /> },
  { key: 'rule', title: 'Rule', sort: (a) => a.rule, cell: (a) => a.rule },
];

export function Alerts() {
  const state = useRoute().query.get('state') ?? 'active';
  const { data, error, reload } = useApi<AlertsAnswer>('alerts', { state: state === 'active' ? null : state }, 'alerts');
  return (
    <Page
      title="Alerts"
      aside={
        <Select
          label="Show"
          value={state}
          options={[
            ['active', 'what goes on'],
            ['resolved', 'what is over'],
            ['all', 'all'],
          ]}
          onChange={(v) => setQuery({ state: v === 'active' ? null : v })}
        />
      }
    >
      <ErrorBox error={error} stale={data !== null} retry={reload} />
      {data ? <Table caption="Alerts" columns={columns} rows={data.alerts} rowKey={(a) => a.id} initialSort="severity" empty="No alert." /> : error ? null : <Loading what="alerts" />}
    </Page>
  );
}
