import type { Mesh, Rollout, RolloutRow, Schedule as ScheduleAnswer } from '../api/types';
import { useApi } from '../live/hooks';
import { href } from '../router';
import { Table, type Column } from '../ui/Table';
import { Ago, ErrorBox, Loading, Page, Section, StateBadge } from '../ui/parts';

const meshes: readonly Column<Mesh>[] = [
  { key: 'name', title: 'Mesh', sort: (m) => m.name, cell: (m) => <a href={href('matrix', { mesh: m.name })}>{m.name}</a> },
  { key: 'state', title: 'State', cell: (m) => <StateBadge state={m.paused ? 'paused' : 'running'} text={m.paused ? 'paused' : m.in_maintenance ? 'in maintenance' : 'runs'} /> },
  { key: 'topology', title: 'Topology', cell: (m) => m.topology },
  { key: 'classes', title: 'Classes', cell: (m) => m.classes.join(', ') },
  { key: 'pairs', title: 'Pairs', num: true, sort: (m) => m.pairs, cell: (m) => m.pairs },
  { key: 'agents', title: 'Agents', num: true, sort: (m) => m.agents, cell: (m) => m.agents },
  { key: 'runs', title: 'Runs', cell: (m) => m.runs },
  { key: 'changed', title: 'Changed', num: true, cell: (m) => <Ago at={m.changed} /> },
  { key: 'author', title: 'By', cell: (m) => m.author },
];

const agents: readonly Column<RolloutRow>[] = [
  { key: 'agent', title: 'Agent', sort: (r) => r.agent, cell: (r) => r.agent },
  { key: 'word', title: 'State', sort: (r) => r.word, cell: (r) => <StateBadge state={r.word} /> },
  { key: 'generation', title: 'Generation', num: true, sort: (r) => r.generation, cell: (r) => r.generation },
  { key: 'behind', title: 'Behind for', num: true, cell: (r) => <Ago at={r.behind} /> },
  { key: 'running', title: 'Sessions', num: true, sort: (r) => r.sessions_running, cell: (r) => `${r.sessions_running} of ${r.sessions_wanted}` },
  { key: 'refusals', title: 'Refused', num: true, sort: (r) => r.refusals, cell: (r) => r.refusals },
];

export function Schedule() {
  const schedule = useApi<ScheduleAnswer>('schedule', {}, 'schedule');
  const rollout = useApi<Rollout>('rollout', {}, 'schedule');
  return (
    <Page title="Schedule" aside={schedule.data ? <span class="dim">generation {schedule.data.generation}</span> : null}>
      <ErrorBox error={schedule.error ?? rollout.error} stale={schedule.data !== null} retry={schedule.reload} />
      {schedule.data ? <Table caption="Meshes" columns={meshes} rows={schedule.data.meshes} rowKey={(m) => m.name} empty="No mesh is scheduled: twampctl schedule apply -f mesh.yaml" /> : <Loading what="the schedule" />}
      {rollout.data ? (
        <Section title="Rollout" aside={<span class="dim">{`${rollout.data.agents_current} of ${rollout.data.agents} agents run it`}</span>}>
          <Table caption="Rollout" name="rollout" columns={agents} rows={rollout.data.rollout} rowKey={(r) => r.agent} />
        </Section>
      ) : null}
    </Page>
  );
}
