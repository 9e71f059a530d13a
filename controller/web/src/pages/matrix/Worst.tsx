/* The list beside the grid: what is wrong, where, since when; worst first. */
import type { Alert } from '../../api/types';
import { plural } from '../../format';
import { href } from '../../router';
import { Since, StateBadge } from '../../ui/parts';
import type { Model, Trouble } from './model';
import { complaint, nodeName, rankState } from './words';

const MOST = 60;

/* Since when, as the alerts tell it: of the pair, best of this metric. */
export type SinceOf = (source: string, target: string) => string | null;

export function sinceOf(alerts: readonly Alert[], m: { mesh: string; class: string; metric: string }): SinceOf {
  const of = new Map<string, { at: string; mine: boolean }>();
  for (const a of alerts) {
    if (a.kind !== 'pair' || a.mesh !== m.mesh || a.class !== m.class || !a.pending) continue;
    const key = `${a.source}\n${a.target}`;
    const mine = a.metric === m.metric;
    const old = of.get(key);
    if (!old || (mine && !old.mine) || (mine === old.mine && a.pending < old.at)) of.set(key, { at: a.pending, mine });
  }
  return (source, target) => of.get(`${source}\n${target}`)?.at ?? null;
}

export function Worst(p: { model: Model; list: readonly Trouble[]; wide: readonly Alert[]; since: SinceOf; contact: ReadonlyMap<string, string | null> }) {
  const m = p.model.answer;
  return (
    <section class="worst" aria-label="What is wrong, worst first">
      <h2>What is wrong</h2>
      {p.list.length === 0 && p.wide.length === 0 ? (
        <p class="empty">
          <StateBadge state="ok" text="Nothing." />
        </p>
      ) : null}
      <ol>
        {p.wide.map((a) => (
          <li key={`alert-${a.id}`}>
            <StateBadge state={a.severity} text={`${a.kind} ${a.subject}`} />
            <span>{a.summary}</span>
            <span class="since">
              since <Since at={a.pending} />
            </span>
          </li>
        ))}
        {p.list.slice(0, MOST).map((t) => {
          const c = t.cell;
          const source = nodeName(m, c.source);
          const target = nodeName(m, c.target);
          const since = t.agent !== null ? p.contact.get(t.agent) : p.since(source, target);
          return (
            <li key={t.key}>
              {t.agent !== null ? (
                <>
                  <StateBadge state="agent_down" text={t.agent} />
                  <span>agent down, {plural(t.pairs, 'pair')} not measured</span>
                </>
              ) : (
                <>
                  <span class={`badge tone-${toneOf(t.rank)}`}>
                    <span class="sign" aria-hidden="true">
                      {signs[rankState(t.rank)] ?? '?'}
                    </span>
                    <a href={href('pair', { mesh: m.mesh, class: m.class, source, target })}>
                      {source} &gt; {target}
                    </a>
                  </span>
                  <span>{complaint(m, c)}</span>
                </>
              )}
              {since ? (
                <span class="since">
                  since <Since at={since} />
                </span>
              ) : null}
            </li>
          );
        })}
      </ol>
      {p.list.length > MOST ? <p class="dim">and {p.list.length - MOST} more: see the table</p> : null}
    </section>
  );
}

const signs: Record<string, string> = { all_lost: '\u2715', critical: '\u203c', refused: '\u2298', warning: '!', no_data: '?', partial: '\u25d0' };
function toneOf(rank: number): string {
  return rank >= 5 ? 'critical' : rank >= 3 ? 'warning' : 'unknown';
}
