/* Tests on demand: measure now, from an agent to anywhere. */
import { href, useRoute } from '../../router';
import { Table, type Column } from '../../ui/Table';
import { Section, Since, StateBadge } from '../../ui/parts';
import { Answered, AsOf, OpsPage, useData } from '../ops/parts';
import type { Test as TestRow } from '../ops/types';
import { TestForm } from './form';
import { TestView, testState } from './show';

const columns: readonly Column<TestRow>[] = [
  { key: 'id', title: 'Test', num: true, sort: (t) => t.test_id, cell: (t) => <a href={href('test', { id: t.test_id })}>{t.test_id}</a> },
  { key: 'state', title: 'State', sort: (t) => t.state, cell: (t) => <StateBadge state={testState(t.state)} text={t.state.replace(/_/g, ' ')} /> },
  { key: 'what', title: 'What', sort: (t) => t.what, cell: (t) => t.what },
  { key: 'settings', title: 'Settings', cell: (t) => t.settings },
  { key: 'started', title: 'Begin', sort: (t) => t.started, cell: (t) => <Since at={t.started} /> },
  { key: 'author', title: 'By', sort: (t) => t.author, cell: (t) => t.author || '-' },
  { key: 'runs', title: 'Pairs', num: true, sort: (t) => t.runs, cell: (t) => t.runs },
  { key: 'done', title: 'Done', num: true, sort: (t) => t.done, cell: (t) => t.done },
  { key: 'failed', title: 'Failed', num: true, sort: (t) => t.failed, cell: (t) => t.failed },
];

function All() {
  const answer = useData<{ tests: TestRow[]; truncated: boolean }>('tests', { limit: 100 }, 'tests');
  return (
    <OpsPage title="Test on demand">
      <Section title="New test">
        <TestForm />
      </Section>
      <Section title="Tests" aside={<AsOf at={answer.at} />}>
        <Answered answer={answer} what="tests">
          {(data) => (
            <>
              <Table caption="Tests on demand" name="tests" columns={columns} rows={data.tests} rowKey={(t) => t.test_id} initialSort="-id" empty="No test was made yet." />
              {data.truncated ? <p class="dim">Older tests are not shown: twampctl test list -n N</p> : null}
            </>
          )}
        </Answered>
      </Section>
    </OpsPage>
  );
}

export function Test() {
  const id = Number(useRoute().query.get('id') ?? 0);
  return id ? <TestView key={id} id={id} /> : <All />;
}
