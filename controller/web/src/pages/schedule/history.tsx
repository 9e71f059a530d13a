/* Who changed the schedule, when and why; what changed; and the way back. */
import { useState } from 'preact/hooks';
import { ApiError, post } from '../../api/client';
import { plural, time } from '../../format';
import { href, setQuery, useRoute } from '../../router';
import { Table, type Column } from '../../ui/Table';
import { Check, ErrorBox, Section, Since } from '../../ui/parts';
import { Ask, ReadOnly } from '../ops/dialog';
import { Answered, AsOf, useData } from '../ops/parts';
import type { Applied, Generation, Generations, Plan } from '../ops/types';
import { parsed } from './diff';
import { Diff, PlanView } from './plan';

const number = (g: Generation) => (g.first_generation && g.first_generation !== g.generation ? `${g.first_generation}-${g.generation}` : String(g.generation));
const counted = (g: Generation, n: number) => (g.counted ? n : '-');

const columns: readonly Column<Generation>[] = [
  { key: 'generation', title: 'Generation', num: true, cell: (g) => <a href={href('schedule', { view: 'history', generation: g.generation })}>{number(g)}</a> },
  { key: 'time', title: 'When', cell: (g) => <Since at={g.time} /> },
  { key: 'author', title: 'By', cell: (g) => g.author || '-' },
  { key: 'what', title: 'What', cell: (g) => g.what },
  { key: 'pairs', title: 'Pairs', num: true, cell: (g) => counted(g, g.pairs) },
  { key: 'added', title: 'Added', num: true, cell: (g) => counted(g, g.added) },
  { key: 'changed', title: 'Changed', num: true, cell: (g) => counted(g, g.changed) },
  { key: 'removed', title: 'Removed', num: true, cell: (g) => counted(g, g.removed) },
  { key: 'reason', title: 'Reason', cell: (g) => g.reason || '-' },
];

/* Back to a generation, planned first. */
function Rollback(p: { generation: number; reload: () => void }) {
  const [plan, setPlan] = useState<Plan | null>(null);
  const [unchanged, setUnchanged] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const [force, setForce] = useState(false);
  const path = `generations/${p.generation}/rollback`;
  const make = async () => {
    setError(null);
    setUnchanged(false);
    try {
      const a = await post<Applied>(path, { plan_only: true, force, max_pairs: 200 });
      setPlan(a.plan);
      setUnchanged(a.unchanged);
    } catch (e) {
      const body = e instanceof ApiError && e.body && typeof e.body === 'object' ? (e.body as Partial<Applied>) : {};
      setPlan(body.plan ?? null);
      setError(e instanceof Error ? e : new Error(String(e)));
    }
    return null;
  };
  return (
    <Section title={`Back to generation ${p.generation}`}>
      <p class="dim">All documents as they were then, as a new generation; meshes that came later are deleted, those that were paused are paused.</p>
      <div class="bar">
        <Planner run={make} />
        <Check label="Go past the controller's budgets (force)" checked={force} onChange={(v) => (setForce(v), setPlan(null))} />
        {plan && !error && !unchanged ? (
          <Ask
            danger
            label={`Roll back to ${p.generation}...`}
            spec={() => ({
              title: `Roll back to generation ${p.generation}`,
              text: `${plural(plan.added, 'pair')} come, ${plan.changed} change, ${plan.removed} go.`,
              reason: 'wanted',
              submit: 'Roll back',
              danger: true,
              run: async (v, author) => {
                const a = await post<Applied>(path, { force, author, reason: v.reason ?? '' });
                return a.unchanged ? 'Unchanged: this runs already.' : `Generation ${p.generation} runs again, as generation ${a.generation}.`;
              },
              done: () => (setPlan(null), p.reload()),
            })}
          />
        ) : null}
        <ReadOnly />
      </div>
      {plan?.excesses.length ? null : <ErrorBox error={error} />}
      {unchanged ? <p class="tone-ok">{'\u2713'} This is what runs: nothing would change.</p> : plan ? <PlanView plan={plan} /> : null}
    </Section>
  );
}

function Planner(p: { run: () => Promise<unknown> }) {
  const [busy, setBusy] = useState(false);
  return (
    <button type="button" disabled={busy} onClick={() => (setBusy(true), void p.run().finally(() => setBusy(false)))}>
      {busy ? 'Planning...' : 'Plan the way back'}
    </button>
  );
}

function One(p: { generation: number; newest: number; reload: () => void }) {
  const answer = useData<Generations>(`generations/${p.generation}`);
  return (
    <Section
      title={`Generation ${p.generation}`}
      aside={
        <button type="button" class="small" onClick={() => setQuery({ generation: null })}>
          Close
        </button>
      }
    >
      <Answered answer={answer} what="the generation">
        {(data) => {
          const g = data.generations[0];
          if (!g) return <p class="dim">It is not in the history any more.</p>;
          return (
            <>
              <p>
                {time(g.time)}
                {g.author ? ` by ${g.author}` : ''}: {g.what}
                {g.reason ? ` (${g.reason})` : ''}
              </p>
              {g.meshes.map((m) => (
                <div key={m.mesh}>
                  <p class="plan-line">
                    <strong>{m.mesh}</strong> {m.action}: {plural(m.lines_added, 'line')} added, {m.lines_removed} removed
                    {m.diff_truncated ? ' (only the first are shown)' : ''}
                  </p>
                  {m.diff ? <Diff lines={parsed(m.diff)} label={`Changed lines of ${m.mesh}`} /> : null}
                </div>
              ))}
              {g.meshes.length === 0 ? <p class="dim">No document changed: it only followed the agents.</p> : null}
              {p.generation < p.newest ? <Rollback generation={p.generation} reload={p.reload} /> : <p class="dim">This is what runs.</p>}
            </>
          );
        }}
      </Answered>
    </Section>
  );
}

export function History(p: { newest: number }) {
  const { query } = useRoute();
  const before = query.get('before');
  const one = Number(query.get('generation') ?? 0);
  const answer = useData<Generations>('generations', { limit: 50, before }, 'schedule');
  return (
    <>
      {one ? <One key={one} generation={one} newest={p.newest} reload={answer.reload} /> : null}
      <Section title="History" aside={<AsOf at={answer.at} />}>
        <Answered answer={answer} what="the history">
          {(data) => (
            <>
              <Table caption="Generations" columns={columns} rows={data.generations} rowKey={(g) => g.generation} rowClass={(g) => (g.generation === one ? 'chosen' : '')} empty="Nothing was ever applied." />
              <div class="bar">
                {before ? <a href={href('schedule', { view: 'history' })}>Newest</a> : null}
                {data.truncated && data.generations.length ? (
                  <a href={href('schedule', { view: 'history', before: data.generations[data.generations.length - 1]!.first_generation || data.generations[data.generations.length - 1]!.generation })}>Older</a>
                ) : null}
              </div>
            </>
          )}
        </Answered>
      </Section>
    </>
  );
}
