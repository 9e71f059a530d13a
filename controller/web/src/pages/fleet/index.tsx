/* Who measures, and how they are. */
import type { ComponentChildren } from 'preact';
import { plural, seconds } from '../../format';
import { useNow } from '../../live/hooks';
import { href, setQuery, useRoute } from '../../router';
import { Table, type Column } from '../../ui/Table';
import { Ago, Section, StateBadge } from '../../ui/parts';
import { post } from '../../api/client';
import { Ask, ReadOnly, type DialogSpec } from '../ops/dialog';
import { Answered, AsOf, Filter, OpsPage, useData } from '../ops/parts';
import { inGroups } from '../ops/text';
import type { Agent } from '../ops/types';
import { remove } from './actions';
import { AgentView } from './agent';
import { concerns, weight } from './concerns';
import { Controllers } from './controllers';
import { Concerns } from './parts';

interface Agents {
  generation: number;
  agents: Agent[];
}

const order = { down: 0, pending: 1, up: 2, revoked: 3 };
export function Labels(p: { labels: Record<string, string>; link?: boolean }) {
  return (
    <span class="labels">
      {Object.entries(p.labels).map(([k, v]) => (
        <span key={k} class="label">
          {p.link ? <a href={href('fleet', { select: `${k}=${v}` })}>{`${k}=${v}`}</a> : `${k}=${v}`}
        </span>
      ))}
    </span>
  );
}

/* What the agent's kernel claims, and what the audit of all pairs found. */
export function clockCell(a: Agent): ComponentChildren {
  const own = a.health?.clock;
  if (!own) return '-';
  const wrong = a.clock && (a.clock.verdict === 'offset' || a.clock.verdict === 'either');
  const claim = own.synced ? seconds(own.max_error_ns / 1e9) : 'not synced';
  if (!wrong) return claim;
  return (
    <>
      {claim} <span class="tone-warning">{`off ${a.clock!.offset_ns > 0 ? '+' : '-'}${seconds(Math.abs(a.clock!.offset_ns) / 1e9)}`}</span>
    </>
  );
}

const controller: Column<Agent> = { key: 'controller', title: 'Controller', hint: 'that it is connected to', sort: (a) => a.controller || null, cell: (a) => a.controller || '-' };
const columns: readonly Column<Agent>[] = [
  { key: 'name', title: 'Agent', sort: (a) => a.name, cell: (a) => <a href={href('fleet', { agent: a.name })}>{a.name}</a> },
  { key: 'state', title: 'State', sort: (a) => order[a.state], cell: (a) => <StateBadge state={a.state === 'up' && a.drained ? 'drained' : a.state} /> },
  { key: 'trouble', title: 'What is the matter', hint: 'what is wrong with it now, or was done to it', sort: (a) => weight(concerns(a)), cell: (a) => <Concerns list={concerns(a)} /> },
  { key: 'contact', title: 'Contact', hint: 'how long ago it was heard last', num: true, sort: (a) => a.last_contact, cell: (a) => <Ago at={a.last_contact} /> },
  { key: 'labels', title: 'Labels', cell: (a) => <Labels labels={a.labels} link /> },
  {
    key: 'clock',
    title: 'Clock error',
    hint: 'what its kernel claims; off: what the clock audit found',
    num: true,
    sort: (a) => (a.health?.clock ? (a.health.clock.synced ? a.health.clock.max_error_ns : 1e12) : null),
    cell: clockCell,
  },
  {
    key: 'generation',
    title: 'Generation',
    hint: 'of the schedule that it runs',
    num: true,
    sort: (a) => a.generation,
    cell: (a) => (a.generation === a.generation_wanted || a.state !== 'up' ? a.generation : `${a.generation} of ${a.generation_wanted}`),
  },
  { key: 'pairs', title: 'Pairs', num: true, sort: (a) => a.pairs, cell: (a) => a.pairs },
  { key: 'spool', title: 'Spool', hint: 'summaries that wait to be taken', num: true, sort: (a) => a.health?.spool_summaries ?? null, cell: (a) => a.health?.spool_summaries ?? '-' },
  { key: 'backlog', title: 'Backlog', hint: 'of the spool: what waited for the controller, and is sent beside what is fresh', num: true, sort: (a) => a.health?.spool_backlog ?? null, cell: (a) => a.health?.spool_backlog || '-' },
  { key: 'dropped', title: 'Dropped', hint: 'summaries that its spool had to drop since it was started', num: true, sort: (a) => a.health?.spool_dropped ?? null, cell: (a) => a.health?.spool_dropped ?? '-' },
  { key: 'software', title: 'Version', sort: (a) => a.software, cell: (a) => a.software.replace(/^twamp-agent /, '') || '-' },
];

/* The key that is let in is the one that was looked at: approve sends its fingerprint along. */
function approve(a: Agent, done: () => void): DialogSpec {
  return {
    title: `Approve ${a.name}`,
    text: (
      <>
        <p>
          From {a.peer_address || 'an unknown address'}, {a.software || 'unknown software'}. Compare the key&apos;s fingerprint with what the agent prints on its host (twamp-agent --check, or
          its log):
        </p>
        <p class="fingerprint">{inGroups(a.fingerprint)}</p>
      </>
    ),
    submit: 'Approve this key',
    run: async (_, author) => {
      await post(`agents/${encodeURIComponent(a.name)}/approve`, { fingerprint: a.fingerprint, author });
      return `${a.name} is approved.`;
    },
    done,
  };
}

function Requests(p: { agents: readonly Agent[]; reload: () => void }) {
  if (!p.agents.length) return null;
  const requests: readonly Column<Agent>[] = [
    { key: 'name', title: 'Agent', sort: (a) => a.name, cell: (a) => <a href={href('fleet', { agent: a.name })}>{a.name}</a> },
    { key: 'from', title: 'From', sort: (a) => a.peer_address, cell: (a) => a.peer_address },
    { key: 'labels', title: 'Labels', cell: (a) => <Labels labels={a.labels} /> },
    { key: 'version', title: 'Version', cell: (a) => a.software },
    { key: 'contact', title: 'Contact', num: true, cell: (a) => <Ago at={a.last_contact} /> },
    { key: 'key', title: 'Fingerprint of its key', cell: (a) => <code title={a.fingerprint}>{inGroups(a.fingerprint.slice(0, 24))}...</code> },
    {
      key: 'do',
      title: 'Let in?',
      cell: (a) => (
        <span class="row-actions">
          <Ask small need="admin" label="Approve..." about={a.name} spec={() => approve(a, p.reload)} />
          <Ask small danger need="admin" label="Remove..." about={a.name} spec={() => remove(a)} />
        </span>
      ),
    },
  ];
  return (
    <Section title={`${plural(p.agents.length, 'agent')} ${p.agents.length === 1 ? 'waits' : 'wait'} for approval`} aside={<ReadOnly need="admin" />}>
      <Table caption="Enrolment requests" name="requests" columns={requests} rows={p.agents} rowKey={(a) => a.name} initialSort="name" />
    </Section>
  );
}

/* How many are how; pressed, only these. */
function Tallies(p: { agents: readonly Agent[]; state: string }) {
  const is: Record<string, (a: Agent) => boolean> = {
    down: (a) => a.state === 'down',
    pending: (a) => a.state === 'pending',
    trouble: (a) => a.state !== 'pending' && concerns(a).some((c) => c.tone !== 'info'),
    drained: (a) => a.drained !== null,
    up: (a) => a.state === 'up',
    revoked: (a) => a.state === 'revoked',
  };
  return (
    <span class="tallies" role="group" aria-label="Only agents that are">
      {Object.entries(is).map(([key, test]) => {
        const n = p.agents.filter(test).length;
        return n || key === p.state ? (
          <button key={key} type="button" class="small" aria-pressed={p.state === key} onClick={() => setQuery({ state: p.state === key ? null : key })}>
            <StateBadge state={key === 'trouble' ? 'warning' : key} text={key === 'trouble' ? 'with trouble' : key} />
            {n}
          </button>
        ) : null;
      })}
    </span>
  );
}

function wanted(a: Agent, state: string, text: string): boolean {
  if (state === 'trouble' ? a.state === 'pending' || !concerns(a).some((c) => c.tone !== 'info') : state === 'drained' ? !a.drained : state && a.state !== state) return false;
  return !text || `${a.name} ${a.addresses.join(' ')} ${a.peer_address} ${a.software} ${Object.entries(a.labels).map((l) => l.join('='))}`.toLowerCase().includes(text.toLowerCase());
}

function FleetList() {
  const { query } = useRoute();
  const select = query.get('select');
  const state = query.get('state') ?? '';
  const text = query.get('find') ?? '';
  const all = useData<Agents>('agents', {}, 'agents');
  const selected = useData<Agents>(select ? 'agents' : null, { select }, 'agents');
  const shown = select ? selected : all;
  useNow(10_000);
  return (
    <OpsPage title="Fleet" aside={<AsOf at={shown.at} />}>
      <Controllers />
      {all.data ? <Requests agents={all.data.agents.filter((a) => a.state === 'pending')} reload={all.reload} /> : null}
      <div class="bar">
        {all.data ? <Tallies agents={all.data.agents} state={state} /> : null}
        <Filter label="Labels" param="select" hint="site=ams,role!=edge" error={select ? selected.error : null} wide />
        <Filter label="Find" param="find" hint="name, address, version" />
      </div>
      {select && selected.error ? null : (
        <Answered answer={shown} what="agents">
          {(data) => (
            <Table
              caption="Agents"
              columns={data.agents.some((a) => a.controller) ? [...columns, controller] : columns}
              rows={data.agents.filter((a) => wanted(a, state, text))}
              rowKey={(a) => a.name}
              initialSort="-trouble"
              empty={data.agents.length ? 'No agent is like that.' : select ? `No agent has such labels: ${select}` : 'No agent has made contact yet: twamp-agent --controller tcp://THIS-HOST:8620'}
            />
          )}
        </Answered>
      )}
    </OpsPage>
  );
}

export function Fleet() {
  const name = useRoute().query.get('agent');
  return name ? <AgentView key={name} name={name} approve={approve} /> : <FleetList />;
}

