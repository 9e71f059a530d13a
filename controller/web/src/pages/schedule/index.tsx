/* What is measured, who runs it, and the way to change it. */
import { del, post } from '../../api/client';
import { plural, time } from '../../format';
import { href, useRoute } from '../../router';
import { Table, type Column } from '../../ui/Table';
import { Ago, Section, Since, StateBadge } from '../../ui/parts';
import { Ask, ReadOnly, say, type DialogSpec } from '../ops/dialog';
import { Answered, AsOf, Filter, OpsPage, PairLink, Tabs, useData } from '../ops/parts';
import type { Mesh, Rollout, RolloutRow } from '../ops/types';
import { ALL, Editor, loaded, useSchedule } from './editor';
import { History } from './history';

function pause(m: Mesh, done: () => void): DialogSpec {
  return {
    title: `Pause ${m.name}`,
    text: `Ends its ${plural(m.pairs, 'pair')} for now; the document stays.`,
    reason: 'wanted',
    submit: 'Pause',
    danger: true,
    run: async (v, author) => {
      const a = await post<{ generation: number }>(`schedule/${encodeURIComponent(m.name)}/pause`, { author, reason: v.reason ?? '' });
      return `${m.name} is paused: generation ${a.generation}.`;
    },
    done,
  };
}
function resume(m: Mesh, done: () => void): DialogSpec {
  return {
    title: `Resume ${m.name}`,
    text: `Measures its ${plural(m.pairs, 'pair')} again.`,
    reason: 'wanted',
    submit: 'Resume',
    run: async (v, author) => {
      const a = await post<{ generation: number }>(`schedule/${encodeURIComponent(m.name)}/resume`, { author, reason: v.reason ?? '' });
      return `${m.name} is measured again: generation ${a.generation}.`;
    },
    done,
  };
}
function remove(m: Mesh, done: () => void): DialogSpec {
  return {
    title: `Delete ${m.name}`,
    text: `Ends its ${plural(m.pairs, 'pair')}; results stay. The history has its document, so it can be brought back.`,
    reason: 'wanted',
    type: m.name,
    submit: 'Delete',
    danger: true,
    run: async (v, author) => {
      await del(`schedule/${encodeURIComponent(m.name)}`, { author, reason: v.reason });
      return `${m.name} is deleted.`;
    },
    done,
  };
}

function state(m: Mesh) {
  const idle = m.pairs > 0 && m.pairs_idle === m.pairs;
  const word = m.paused ? 'paused' : idle ? 'idle' : 'active';
  return <StateBadge state={m.paused ? 'paused' : idle ? 'idle' : 'running'} text={word + (m.in_maintenance ? ', maintenance' : '')} />;
}

const meshes = (reload: () => void): readonly Column<Mesh>[] => [
  { key: 'name', title: 'Mesh', sort: (m) => m.name, cell: (m) => <a href={href('matrix', { mesh: m.name })}>{m.name}</a> },
  { key: 'state', title: 'State', sort: (m) => String(m.paused), cell: state },
  { key: 'description', title: 'Description', cell: (m) => m.description || '-' },
  { key: 'topology', title: 'Topology', sort: (m) => m.topology, cell: (m) => m.topology },
  { key: 'classes', title: 'Classes', cell: (m) => m.classes.join(', ') },
  { key: 'pairs', title: 'Pairs', num: true, sort: (m) => m.pairs, cell: (m) => m.pairs },
  { key: 'agents', title: 'Agents', num: true, sort: (m) => m.agents, cell: (m) => m.agents },
  { key: 'runs', title: 'Runs', cell: (m) => (m.next_run ? <span title={time(m.next_run)}>{`${m.runs}, next ${time(m.next_run).slice(11)}`}</span> : m.runs) },
  { key: 'changed', title: 'Changed', sort: (m) => m.changed, cell: (m) => <Since at={m.changed} /> },
  { key: 'author', title: 'By', sort: (m) => m.author, cell: (m) => m.author || '-' },
  {
    key: 'do',
    title: 'Do',
    cell: (m) => (
      <span class="row-actions">
        <a href={href('schedule', { view: 'editor', mesh: m.name })}>
          Edit<span class="sr-only"> {m.name}</span>
        </a>
        <Ask small label={m.paused ? 'Resume...' : 'Pause...'} about={m.name} spec={() => (m.paused ? resume(m, reload) : pause(m, reload))} />
        <Ask small danger label="Delete..." about={m.name} spec={() => remove(m, reload)} />
      </span>
    ),
  },
];

const order: Record<string, number> = { refuses: 0, slow: 1, behind: 2, away: 3, current: 4 };

const agents: readonly Column<RolloutRow>[] = [
  { key: 'agent', title: 'Agent', sort: (r) => r.agent, cell: (r) => <a href={href('fleet', { agent: r.agent })}>{r.agent}</a> },
  { key: 'word', title: 'State', sort: (r) => order[r.word] ?? 9, cell: (r) => <StateBadge state={r.word === 'refuses' ? 'refused' : r.word === 'slow' ? 'behind' : r.word} text={r.word} /> },
  { key: 'generation', title: 'Generation', num: true, sort: (r) => r.generation, cell: (r) => r.generation },
  { key: 'acked', title: 'Since', hint: 'when it acknowledged that generation', num: true, sort: (r) => r.acked, cell: (r) => <Ago at={r.acked} /> },
  { key: 'behind', title: 'Behind for', num: true, sort: (r) => r.behind, cell: (r) => <Ago at={r.behind} /> },
  { key: 'sessions', title: 'Sessions', hint: 'that it should run', num: true, sort: (r) => r.sessions_wanted, cell: (r) => r.sessions_wanted },
  { key: 'running', title: 'Running', num: true, sort: (r) => r.sessions_running, cell: (r) => r.sessions_running },
  { key: 'missing', title: 'Missing', num: true, sort: (r) => r.missing, cell: (r) => r.missing },
  { key: 'extra', title: 'Extra', num: true, sort: (r) => r.extra, cell: (r) => r.extra },
  { key: 'refused', title: 'Refused', num: true, sort: (r) => r.refusals, cell: (r) => r.refusals },
  { key: 'contact', title: 'Last contact', num: true, sort: (r) => r.last_contact, cell: (r) => <Ago at={r.last_contact} /> },
];

interface Refused {
  agent: string;
  flow: number;
  reason: string;
  pair: RolloutRow['refused'][number]['pair'];
}
const refused: readonly Column<Refused>[] = [
  { key: 'agent', title: 'Agent', sort: (r) => r.agent, cell: (r) => r.agent },
  { key: 'pair', title: 'Refuses', cell: (r) => (r.pair ? <PairLink {...r.pair} text={`${r.pair.mesh}/${r.pair.class} ${r.pair.source} > ${r.pair.target}`} /> : '-') },
  { key: 'flow', title: 'Flow', num: true, cell: (r) => r.flow },
  { key: 'reason', title: 'Why', sort: (r) => r.reason, cell: (r) => r.reason },
];

function verdict(r: Rollout): string {
  const rest = [
    r.agents_behind ? `${r.agents_behind} connected ${r.agents_behind === 1 ? 'is' : 'are'} behind` : '',
    r.agents_away ? `${r.agents_away} ${r.agents_away === 1 ? 'is' : 'are'} away` : '',
    r.agents_refusing ? `${r.agents_refusing} ${r.agents_refusing === 1 ? 'refuses' : 'refuse'} sessions` : '',
  ].filter(Boolean);
  return [`Generation ${r.generation} runs on ${r.agents_current} of ${plural(r.agents, 'agent')}`, ...rest].join(', ');
}

function RolloutView() {
  const select = useRoute().query.get('select');
  const answer = useData<Rollout>('rollout', { select }, 'schedule');
  return (
    <Section
      title="Rollout"
      aside={
        <>
          <Filter label="Labels" param="select" hint="site=ams,role!=edge" error={select ? answer.error : null} wide />
          <AsOf at={answer.at} />
        </>
      }
    >
      {select && answer.error ? null : (
        <Answered answer={answer} what="the rollout">
          {(data) => {
            const bad = data.rollout.flatMap((r) => r.refused.map((x): Refused => ({ agent: r.agent, ...x })));
            return (
              <>
                <p class={data.agents_behind || data.agents_refusing ? 'tone-warning' : data.agents_away ? '' : 'tone-ok'}>{verdict(data)}</p>
                {bad.length ? <Table caption="Refused sessions" name="refused" columns={refused} rows={bad} rowKey={(r) => `${r.agent}/${r.pair?.mesh}/${r.pair?.class}/${r.pair?.target}/${r.flow}`} /> : null}
                <Table caption="Rollout" name="rollout" columns={agents} rows={data.rollout} rowKey={(r) => r.agent} initialSort="word" empty="No agent is approved." />
                {data.truncated ? <p class="dim">There are more agents: choose by labels.</p> : null}
              </>
            );
          }}
        </Answered>
      )}
    </Section>
  );
}

/* All documents as a file, as `twampctl schedule export` writes them. */
async function save(): Promise<void> {
  try {
    const { text, generation } = await loaded(ALL);
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], { type: 'application/yaml' }));
    link.download = `schedule-${generation}.yaml`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } catch (e) {
    say(`Not saved: ${(e as Error).message}`);
  }
}

const views = [
  ['', 'Meshes and rollout'],
  ['editor', 'Editor'],
  ['history', 'History'],
] as const;

export function Schedule() {
  const view = useRoute().query.get('view') ?? '';
  const schedule = useSchedule();
  return (
    <OpsPage
      title="Schedule"
      tabs={<Tabs page="schedule" label="Views of the schedule" now={view} views={views} />}
      aside={
        <>
          {schedule.data ? <span>generation {schedule.data.generation}</span> : null}
          <AsOf at={schedule.at} />
        </>
      }
    >
      <Answered answer={schedule} what="the schedule">
        {(data) =>
          view === 'editor' ? (
            <Editor meshes={data.meshes} generation={data.generation} reload={schedule.reload} />
          ) : view === 'history' ? (
            <History newest={data.generation} />
          ) : (
            <>
              <div class="bar">
                <a href={href('schedule', { view: 'editor' })}>New mesh</a>
                <button type="button" onClick={() => void save()}>
                  Save all as YAML
                </button>
                <ReadOnly />
              </div>
              <Table caption="Meshes" name="meshes" columns={meshes(schedule.reload)} rows={data.meshes} rowKey={(m) => m.name} initialSort="name" empty="No mesh is scheduled." />
              <RolloutView />
            </>
          )
        }
      </Answered>
    </OpsPage>
  );
}
