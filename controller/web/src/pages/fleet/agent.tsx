/* One agent with everything known of it, and what can be done to it. */
import { count, percent, plural, seconds, si, time } from '../../format';
import { href } from '../../router';
import { Ago, Empty, Section, Since, StateBadge } from '../../ui/parts';
import { Table, type Column } from '../../ui/Table';
import { Ask, ReadOnly, type DialogSpec } from '../ops/dialog';
import { Answered, AsOf, Facts, OpsPage, PairLink, useData } from '../ops/parts';
import { inGroups } from '../ops/text';
import type { Agent, AgentSpan, Mark, Rollout, RolloutRow } from '../ops/types';
import * as act from './actions';
import { clockText, concerns, files, told } from './concerns';
import { Labels } from './index';
import { Concerns } from './parts';

const mark = (m: Mark | null) => (m ? `${time(m.time)}${m.author ? ` by ${m.author}` : ''}${m.reason ? `: ${m.reason}` : ''}` : null);
const list = (labels: Record<string, string>) => (Object.keys(labels).length ? <Labels labels={labels} /> : null);
const mib = (octets: unknown) => (typeof octets === 'number' ? `${(octets / 2 ** 20).toFixed(1)} MiB` : '-');

function health(a: Agent, key: string): number | null {
  const v = a.health?.[key];
  return typeof v === 'number' ? v : null;
}
const counted = (a: Agent, key: string) => count(health(a, key));
const nonzero = (a: Agent, key: string) => (health(a, key) ? counted(a, key) : null);
const delay = (a: Agent, key: string) => {
  const ns = health(a, key);
  return ns === null ? '-' : ns === 0 ? '0' : seconds(ns / 1e9);
};

function Identity({ a }: { a: Agent }) {
  return (
    <Facts
      title="Who it is"
      rows={[
        ['Addresses', a.addresses.join(', ')],
        ['Reflector', a.reflector_port ? `UDP port ${a.reflector_port}` : 'none'],
        ['TWAMP-Control', a.control_port ? `TCP port ${a.control_port}` : null],
        ['Connects from', a.peer_address],
        ['Controller', a.controller || null, 'that it is connected to, of those that share the control state'],
        ['Version', a.software],
        ['Labels', list(a.labels)],
        ['set by operators', list(a.operator_labels)],
        ['taken off', a.removed_labels.join(', ')],
        ['Capabilities', a.capabilities.join(', ')],
        ['Limits', a.limits ? `${a.limits.max_sessions} sessions, ${si(a.limits.max_pps, 'packets/s')}, ${si(a.limits.max_bps, 'bit/s')}` : null],
        ['Former names', a.former_names.join(', ')],
        ['Key', <span class="fingerprint">{inGroups(a.fingerprint)}</span>],
      ]}
    />
  );
}

function Standing({ a }: { a: Agent }) {
  return (
    <Facts
      title="How it stands"
      rows={[
        ['State', <StateBadge state={a.state} />],
        ['Last contact', <Since at={a.last_contact} />],
        ['Approved', a.approved ? time(a.approved) : 'no'],
        ['Runs since', a.health ? <Since at={a.health.started} /> : null],
        ['Generation', a.generation === a.generation_wanted ? a.generation : `${a.generation}; it should run ${a.generation_wanted}`],
        ['Pairs that it measures', a.pairs],
        ['Sessions', counted(a, 'sessions')],
        ['Drained', mark(a.drained)],
        ['Revoked', mark(a.revoked)],
      ]}
    />
  );
}

function ClockFacts({ a }: { a: Agent }) {
  const own = a.health?.clock ?? null;
  const audit = a.clock;
  return (
    <Facts
      title="Clock"
      rows={[
        ['Its kernel says', own ? (own.synced ? `synchronised, error up to ${seconds(own.max_error_ns / 1e9)}` : 'not synchronised') : null],
        ['Steps since start', own ? own.steps : null],
        ['All pairs together', audit ? (audit.verdict === 'offset' || audit.verdict === 'either' ? clockText(a) : audit.verdict) : 'not audited yet', 'the mesh clock audit'],
        ['measured offset', audit?.measured ? `${seconds(audit.offset_ns / 1e9)} +- ${seconds(audit.uncertainty_ns / 1e9)} by ${plural(audit.pairs_used, 'pair')}` : null],
        ['Leap second', a.health && a.health.clock_leap !== 'none' ? String(a.health.clock_leap ?? '-') : null],
        ['Frequency', health(a, 'clock_frequency_ppb') ? `${(health(a, 'clock_frequency_ppb')! / 1000).toFixed(3)} ppm` : null],
      ]}
    />
  );
}

function Results({ a }: { a: Agent }) {
  return (
    <Facts
      title="Results"
      rows={[
        ['Waiting in its spool', plural(health(a, 'spool_summaries') ?? 0, 'summary', 'summaries')],
        ['Of these a backlog', nonzero(a, 'spool_backlog'), 'of a time without the controller, or of one that took less than came: sent beside what is fresh'],
        ['Spool on disk', mib(health(a, 'spool_bytes'))],
        ['Dropped by the spool', counted(a, 'spool_dropped'), 'since the agent was started'],
        ['Refused by the controller', counted(a, 'results_refused')],
        ['Probes sent', counted(a, 'probes_sent')],
        ['Probes received', counted(a, 'probes_received')],
        ['Answers with a wrong HMAC', nonzero(a, 'auth_failed')],
        ['Names of targets', health(a, 'names') ? `${counted(a, 'names')}, ${counted(a, 'names_unresolved')} without an address, ${counted(a, 'names_stale')} not confirmed` : null],
        ['Flight recorder', health(a, 'flight_share') ? `${counted(a, 'flight_share')} probes of each session, ${counted(a, 'flight_frozen')} frozen parts, ${mib(health(a, 'flight_bytes'))}` : 'off'],
      ]}
    />
  );
}

function Reflector({ a }: { a: Agent }) {
  return (
    <Facts
      title="Reflector"
      rows={[
        ['Answers', counted(a, 'reflected')],
        ['to STAMP', nonzero(a, 'reflected_stamp')],
        ['by the network driver', nonzero(a, 'reflected_xdp')],
        ['Rejected', counted(a, 'reflector_rejected')],
        ['Not allowed', nonzero(a, 'reflector_not_allowed')],
        ['Wrong HMAC', nonzero(a, 'reflector_auth_failed')],
        ['Without the HMAC demanded', nonzero(a, 'reflector_auth_demanded')],
        ['Dropped by socket buffers', counted(a, 'reflector_drops')],
        ['TWAMP-Control connections', nonzero(a, 'control_connections')],
        ['Logins failed', nonzero(a, 'control_logins_failed')],
      ]}
    />
  );
}

function Host({ a }: { a: Agent }) {
  const noise = a.health?.noise as { sent: number; lost: number; p50_ns: number; p99_ns: number; max_ns: number } | null | undefined;
  return (
    <Facts
      title="Its host"
      rows={[
        ['Waited for a CPU', `up to ${percent(health(a, 'host_cpu_wait_ratio'))} of a second`, 'the worst second of the minute before'],
        ['Stalls', counted(a, 'host_stalls'), 'since the agent was started'],
        ['Longest stall', delay(a, 'host_stall_max_ns'), 'of the minute before'],
        ['Loopback self-test', noise ? `${noise.lost} of ${noise.sent} lost, p50 ${seconds(noise.p50_ns / 1e9)}, p99 ${seconds(noise.p99_ns / 1e9)}` : 'off'],
        ['Sends refused', counted(a, 'send_errors')],
        ['Datagrams dropped', counted(a, 'sender_drops')],
        ['Memory', mib(health(a, 'rss_bytes'))],
        ['CPU time', delay(a, 'cpu_ns')],
        ...files.map((f): [string, string | null] => [f.title, told(a, f.key)]),
      ]}
    />
  );
}

const spans: readonly Column<AgentSpan>[] = [
  { key: 'from', title: 'From', cell: (s) => (s.from ? time(s.from) : '-') },
  { key: 'to', title: 'Until', cell: (s) => (s.to ? time(s.to) : 'its end is not in sight') },
  { key: 'author', title: 'By', cell: (s) => s.author || '-' },
  { key: 'reason', title: 'Reason', cell: (s) => s.reason || '-' },
];

type Refused = RolloutRow['refused'][number];
const refusals: readonly Column<Refused>[] = [
  { key: 'pair', title: 'Session', cell: (r) => (r.pair ? <PairLink {...r.pair} text={`${r.pair.mesh}/${r.pair.class} ${r.pair.source} > ${r.pair.target}`} /> : '-') },
  { key: 'flow', title: 'Flow', num: true, cell: (r) => r.flow },
  { key: 'reason', title: 'Why the agent does not run it', cell: (r) => r.reason },
];

function Actions(p: { a: Agent; reload: () => void; approve: (a: Agent, done: () => void) => DialogSpec }) {
  const { a, reload } = p;
  return (
    <div class="bar">
      {a.state === 'pending' ? (
        <Ask need="admin" label="Approve..." spec={() => p.approve(a, reload)} />
      ) : (
        <>
          {a.drained ? <Ask label="Undrain..." spec={() => act.undrain(a, reload)} /> : <Ask label="Drain..." spec={() => act.drain(a, reload)} />}
          <Ask label="Maintenance..." spec={() => act.maintenance(a, reload)} />
          {a.maintenance.length ? <Ask label="End maintenance..." spec={() => act.endMaintenance(a, reload)} /> : null}
          <Ask label="Labels..." spec={() => act.label(a, reload)} />
          <Ask need="admin" label="Rename..." spec={() => act.rename(a)} />
          {a.state === 'revoked' ? null : <Ask need="admin" danger label="Revoke..." spec={() => act.revoke(a, reload)} />}
        </>
      )}
      <Ask need="admin" danger label="Remove..." spec={() => act.remove(a)} />
      <ReadOnly />
    </div>
  );
}

function Body(p: { a: Agent; refused: readonly Refused[]; reload: () => void; approve: (a: Agent, done: () => void) => DialogSpec }) {
  const { a } = p;
  const worries = concerns(a);
  return (
    <>
      {worries.length ? <Concerns list={worries} /> : <p class="tone-ok">{'\u2713'} Nothing is the matter with it.</p>}
      <Actions a={a} reload={p.reload} approve={p.approve} />
      {p.refused.length ? (
        <Section title="Refused sessions">
          <Table caption="Refused sessions" name="refused" columns={refusals} rows={p.refused} rowKey={(r) => `${r.pair?.mesh}/${r.pair?.class}/${r.pair?.source}/${r.pair?.target}/${r.flow}`} />
        </Section>
      ) : null}
      {a.maintenance.length ? (
        <Section title="Maintenance">
          <Table caption="Maintenance" name="maintenance" columns={spans} rows={a.maintenance} rowKey={(s) => `${s.from}${s.to}${s.reason}`} />
        </Section>
      ) : null}
      <div class="fact-groups">
        <Standing a={a} />
        <Identity a={a} />
        <ClockFacts a={a} />
        {a.health ? (
          <>
            <Results a={a} />
            <Reflector a={a} />
            <Host a={a} />
          </>
        ) : (
          <Facts title="Health" rows={[['Report', 'none since the controller was started']]} />
        )}
      </div>
      {a.health ? (
        <p class="dim">
          Health as it said <Ago at={a.health.time} /> ago.
        </p>
      ) : null}
    </>
  );
}

export function AgentView(p: { name: string; approve: (a: Agent, done: () => void) => DialogSpec }) {
  const answer = useData<{ agents: Agent[] }>('agents', { select: `name=${p.name}` }, 'agents');
  const rollout = useData<Rollout>('rollout', { select: `name=${p.name}` }, 'schedule');
  return (
    <OpsPage
      title={`Agent ${p.name}`}
      aside={
        <>
          <a href={href('fleet')}>All agents</a>
          <a href={href('matrix', { find: p.name })}>In the matrix</a>
          <AsOf at={answer.at} />
        </>
      }
    >
      <Answered answer={answer} what="the agent">
        {(data) =>
          data.agents[0] ? (
            <Body a={data.agents[0]} refused={rollout.data?.rollout[0]?.refused ?? []} reload={answer.reload} approve={p.approve} />
          ) : (
            <Empty>
              No agent is called {p.name}. <a href={href('fleet')}>All agents</a>
            </Empty>
          )
        }
      </Answered>
    </OpsPage>
  );
}
