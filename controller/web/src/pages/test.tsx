import type { Tests, TestInfo } from '../api/types';
import { useApi } from '../live/hooks';
import { Table, type Column } from '../ui/Table';
import { ErrorBox, Loading, Page, Since, StateBadge } from '../ui/parts';

const columns: readonly Column<TestInfo>[] = [
  { key: 'id', title: 'Test', num: true, sort: (t) => t.test_id, cell: (t) => t.test_id },
  { key: 'state', title: 'State', sort: (t) => t.state, cell: (t) => <StateBadge state={t.state} /> },
  { key: 'what', title: 'What', sort: (t) => t.what, cell: (t) => t.what },
  { key: 'settings', title: 'Settings', cell: (t) => t.settings },
  { key: 'started', title: 'Begin', sort: (t) => t.started, cell: (t) => <Since at={t.started} /> },
  { key: 'author', title: 'By', sort: (t) => t.author, cell: (t) => t.author },
  { key: 'runs', title: 'Pairs', num: true, cell: (t) => t.runs },
  { key: 'done', title: 'Done', num: true, cell: (t) => t.done },
  { key: 'failed', title: 'Failed', num: true, cell: (t) => t.failed },
];

export function Test() {
  const { data, error, reload } = useApi<Tests>('tests', {}, 'tests');
  return (
    <Page title="Test on demand">
      <ErrorBox error={error} stale={data !== null} retry={reload} />
      {data ? <Table caption="Tests on demand" columns={columns} rows={data.tests} rowKey={(t) => t.test_id} initialSort="-id" empty="No test was made yet: twampctl test SOURCE TARGET" /> : error ? null : <Loading what="tests" />}
    </Page>
  );
}
