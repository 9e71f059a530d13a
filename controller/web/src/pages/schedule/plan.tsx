/* What an apply would change and cost, as `twampctl schedule plan` says it; and why it is refused, if it is. */
import { plural, si } from '../../format';
import { Table, type Column } from '../../ui/Table';
import { Section } from '../../ui/parts';
import type { Excess, Plan, PlanAgent } from '../ops/types';
import type { Line } from './diff';

const signs = { add: '+', del: '-', same: ' ', gap: ' ' };

export function Diff(p: { lines: readonly Line[]; label: string; none?: string }) {
  if (!p.lines.length) return <p class="dim">{p.none ?? 'The text is the same.'}</p>;
  return (
    <pre class="diff" role="region" aria-label={p.label} tabIndex={0}>
      {p.lines.map((l, i) => (
        <span key={i} class={l.kind}>
          {`${signs[l.kind]} ${l.text}`}
        </span>
      ))}
    </pre>
  );
}

const rate = (v: number | null, unit: string) => (v === null ? '-' : si(v, unit));
const changed = (before: string, after: string) => (before === after ? after : `${before} \u2192 ${after}`);

const agents: readonly Column<PlanAgent>[] = [
  { key: 'agent', title: 'Agent', sort: (a) => a.agent, cell: (a) => a.agent },
  { key: 'pairs', title: 'Pairs', num: true, sort: (a) => a.pairs_after, cell: (a) => changed(String(a.pairs_before), String(a.pairs_after)) },
  { key: 'sends', title: 'Sends', num: true, sort: (a) => a.packets_per_second, cell: (a) => changed(rate(a.packets_per_second_before, 'packets/s'), rate(a.packets_per_second, 'packets/s')) },
  { key: 'bits', title: 'Bits', num: true, sort: (a) => a.bits_per_second, cell: (a) => changed(rate(a.bits_per_second_before, 'bit/s'), rate(a.bits_per_second, 'bit/s')) },
  { key: 'reflects', title: 'Reflects', num: true, sort: (a) => a.reflected_packets_per_second, cell: (a) => rate(a.reflected_packets_per_second, 'packets/s') },
];

function Refused(p: { excess: Excess }) {
  const { excess: e } = p;
  return (
    <li>
      {e.text}
      {e.hard ? <strong> (cannot be forced)</strong> : null}
      {e.contributors.length ? (
        <div class="dim">
          {'most of it: '}
          {e.contributors.map((c) => `${c.value === null ? '-' : si(c.value, '').trim()} by ${plural(c.pairs, 'pair')} of ${c.mesh}/${c.class}`).join('; ')}
        </div>
      ) : null}
      {e.fits ? <div>would fit: {e.fits}</div> : null}
    </li>
  );
}

const MOST = 20; // as twampctl

export function Excesses(p: { plan: Plan }) {
  if (!p.plan.excesses.length) return null;
  return (
    <div class="refusals" role="alert">
      <strong>It costs more than it may</strong>
      <ul>
        {p.plan.excesses.slice(0, MOST).map((e) => (
          <Refused key={e.text} excess={e} />
        ))}
      </ul>
      {p.plan.excesses_all > MOST ? <p class="dim">and {p.plan.excesses_all - Math.min(MOST, p.plan.excesses.length)} more</p> : null}
    </div>
  );
}

const counts = (x: { added: number; changed: number; removed: number }) => `${x.added} added, ${x.changed} changed, ${x.removed} removed`;
const mb = (octets: number | null) => (octets === null ? '-' : si(octets, 'B'));

function Totals({ plan }: { plan: Plan }) {
  return (
    <>
      {plan.meshes.map((m) => (
        <p key={m.mesh} class="plan-line">
          <strong>{m.mesh}</strong> {m.action}
          {m.paused ? ', paused' : ''}: {plural(m.pairs, 'pair')}: {counts(m)}
          {m.below_degree ? <span class="tone-warning"> ({plural(m.below_degree, 'member')} with fewer neighbours than the degree)</span> : null}
        </p>
      ))}
      <p class="plan-line">
        All meshes: pairs {changed(String(plan.pairs_before), String(plan.pairs_after))}; Prometheus series {changed(String(plan.series_before), String(plan.series))}; stored a day{' '}
        {changed(mb(plan.store_bytes_per_day_before), mb(plan.store_bytes_per_day))}; sent {changed(rate(plan.packets_per_second_before, 'packets/s'), rate(plan.packets_per_second, 'packets/s'))}
        {plan.mean_packets_per_second !== null && plan.mean_packets_per_second !== plan.packets_per_second ? ` (${rate(plan.mean_packets_per_second, 'packets/s')} in the long run)` : ''}
      </p>
    </>
  );
}

const action: Record<string, string> = { added: '+', removed: '-', changed: '~' };

function Pairs({ plan }: { plan: Plan }) {
  if (!plan.changed_pairs.length) return null;
  return (
    <details>
      <summary>Pairs that change{plan.changed_pairs_truncated ? ` (the first ${plan.changed_pairs.length})` : ` (${plan.changed_pairs.length})`}</summary>
      <pre class="snippet" role="region" aria-label="Pairs that change" tabIndex={0}>
        {plan.changed_pairs.map((c) => (
          <span key={`${c.action}${c.mesh}/${c.class}/${c.source}/${c.target}`}>{`${action[c.action] ?? c.action} ${c.mesh}/${c.class} ${c.source} > ${c.target}${c.what ? `  ${c.what}` : ''}`}</span>
        ))}
      </pre>
    </details>
  );
}

export function PlanView({ plan }: { plan: Plan }) {
  const touched = plan.agents.filter((a) => a.pairs_before !== a.pairs_after || a.packets_per_second_before !== a.packets_per_second || a.bits_per_second_before !== a.bits_per_second);
  return (
    <Section title="Plan">
      <Excesses plan={plan} />
      <Totals plan={plan} />
      <Pairs plan={plan} />
      {touched.length ? <Table caption="What agents send before and after" name="plan" columns={agents} rows={touched} rowKey={(a) => a.agent} initialSort="-sends" /> : <p class="dim">No agent sends anything else than now.</p>}
      {plan.truncated ? <p class="dim">There are more agents than this list shows.</p> : null}
    </Section>
  );
}
