/* The controllers that share the control state, as `twampctl status` lists them. Nothing where there is one that shares it with nobody. */
import { ago, millis } from '../../format';
import { useNow } from '../../live/hooks';
import type { Time } from '../../api/types';
import { Table, type Column } from '../../ui/Table';
import { Section, Since, StateBadge } from '../../ui/parts';
import { useData } from '../ops/parts';
import { Concerns } from './parts';
import type { Concern } from './concerns';

export interface Controller {
  name: string;
  state: 'up' | 'missing' | 'ended';
  self: boolean;
  version: string;
  host: string;
  agents_address: string;
  http_address: string;
  started: Time;
  gone: Time;
  agents: number;
  planner: boolean;
  ready: boolean;
  problem: string;
  twin: boolean;
  other_release: boolean;
}

/* What somebody has to see to. One that ended by itself was meant to. */
export function controllerConcerns(c: Controller, now: number): Concern[] {
  const out: Concern[] = [];
  if (c.twin) out.push({ tone: 'critical', text: 'another one has its name' });
  if (c.state === 'missing') out.push({ tone: 'critical', text: `missing for ${ago(c.gone, now)}` });
  if (c.state === 'up' && !c.ready) out.push({ tone: 'critical', text: c.problem || 'not ready' });
  if (c.state === 'up' && c.other_release) out.push({ tone: 'warning', text: `of another release: ${c.version}` });
  return out;
}

function stateOf(c: Controller) {
  if (c.state !== 'up') return <StateBadge state={c.state === 'missing' ? 'down' : 'idle'} text={c.state} />;
  return <StateBadge state={c.ready ? 'ok' : 'critical'} text={c.ready ? 'ready' : 'not ready'} />;
}

const up = (c: Controller) => c.state === 'up';
const page = (c: Controller) => (up(c) && !c.self && /^https?:\/\//.test(c.http_address) ? `${c.http_address}/#/fleet` : null);
const columns = (now: number): readonly Column<Controller>[] => [
  {
    key: 'name',
    title: 'Controller',
    sort: (c) => c.name,
    cell: (c) => (page(c) ? <a href={page(c)!}>{c.name}</a> : c.name),
  },
  { key: 'state', title: 'State', sort: (c) => (up(c) ? 1 : 0), cell: stateOf },
  { key: 'trouble', title: 'What is the matter', sort: (c) => controllerConcerns(c, now).length, cell: (c) => <Concerns list={controllerConcerns(c, now)} /> },
  { key: 'role', title: 'Role', hint: 'the planner deletes what is kept no more, rolls up, and judges who is nowhere', cell: (c) => [c.planner ? 'planner' : '', c.self ? 'this one' : ''].filter(Boolean).join(', ') || '-' },
  { key: 'agents', title: 'Agents', hint: 'connected to it', num: true, sort: (c) => (up(c) ? c.agents : null), cell: (c) => (up(c) ? c.agents : '-') },
  { key: 'started', title: 'Runs since', sort: (c) => millis(c.started), cell: (c) => (up(c) ? <Since at={c.started} /> : '-') },
  { key: 'address', title: 'Agents reach it at', cell: (c) => c.agents_address || '-' },
  { key: 'version', title: 'Version', sort: (c) => c.version, cell: (c) => c.version },
];

export function Controllers() {
  const status = useData<{ controllers: Controller[] }>('status', {}, 'agents');
  const now = useNow(1000);
  const all = status.data?.controllers ?? [];
  if (!all.length) return null;
  return (
    <Section title="Controllers">
      <Table caption="Controllers" name="controllers" columns={columns(now)} rows={all} rowKey={(c) => `${c.name}/${c.self ? 0 : (c.started ?? c.gone ?? '')}`} initialSort="name" />
    </Section>
  );
}
