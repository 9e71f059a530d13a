import { useMemo, useRef } from 'preact/hooks';
import type { Agents, Alert, Alerts } from '../../api/types';
import { plural } from '../../format';
import { useApi } from '../../live/hooks';
import { href, setQuery, useRoute } from '../../router';
import { Check, Empty, ErrorBox, Field, Loading, Page, Select, Since, StateBadge } from '../../ui/parts';
import type { Ways } from './draw';
import { Grid } from './Grid';
import { Legend } from './Legend';
import { PairTable } from './PairTable';
import { PastBand, TimeBar } from './TimeBar';
import { Worst, sinceOf, type SinceOf } from './Worst';
import { build, groups, isWrong, labelKeys, METRICS, summarise, troubles, view, type MatrixAnswer, type Metric, type Model, type Square, type Trouble } from './model';
import { complaint, nodeName, pairName } from './words';

const WAYS: readonly (readonly [Ways, string])[] = [
  ['both', 'both ways, split'],
  ['roundtrip', 'round trip'],
  ['forward', 'forward'],
  ['backward', 'backward'],
];
const FOLD_FROM = 60; // agents; larger meshes begin folded when they are grouped

/* fold=*: all; fold=a,b: these; fold=none; nothing: by size. */
function foldOf(given: string | null, nodes: number): (group: string) => boolean {
  if (given === '*') return () => true;
  if (given === null) return () => nodes > FOLD_FROM;
  const names = new Set(given === 'none' ? [] : given.split(',').map(decodeURIComponent));
  return (g) => names.has(g);
}
function foldText(all: readonly string[], folded: (g: string) => boolean): string {
  const names = all.filter(folded);
  return names.length === 0 ? 'none' : names.length === all.length ? '*' : names.map(encodeURIComponent).join(',');
}

/* A newer answer takes the place of the one shown; until then that stays, so that nothing flickers. */
function useShown(data: MatrixAnswer | null): { model: Model | null; arrivedMs: number } {
  const last = useRef<{ data: MatrixAnswer; model: Model; arrivedMs: number } | null>(null);
  if (data && last.current?.data !== data) {
    const arrivedMs = performance.now();
    last.current = { data, model: build(data), arrivedMs };
  }
  return { model: last.current?.model ?? null, arrivedMs: last.current?.arrivedMs ?? 0 };
}

/* Alerts that went on at a moment. */
function during(alerts: readonly Alert[], at: string | null): Alert[] {
  if (!at) return alerts.filter((a) => a.state !== 'resolved');
  const ms = Date.parse(at);
  return alerts.filter((a) => a.pending && Date.parse(a.pending) <= ms && (!a.ended || Date.parse(a.ended) > ms));
}

function SummaryLine(p: { model: Model; worst: Trouble | undefined; since: SinceOf; contact: ReadonlyMap<string, string | null> }) {
  const m = p.model.answer;
  const s = useMemo(() => summarise(p.model), [p.model]);
  const { worst } = p;
  const since = !worst ? null : worst.agent !== null ? p.contact.get(worst.agent) : p.since(nodeName(m, worst.cell.source), nodeName(m, worst.cell.target));
  return (
    <div class="summary" role="status">
      <strong>{plural(s.pairs, 'pair')}</strong>
      {s.counts.map((c) => (
        <StateBadge key={c.key} state={c.state} text={`${c.n} ${c.text}`} />
      ))}
      {s.measured ? <StateBadge state="ok" text={`${s.measured} good`} /> : null}
      {s.maintenance ? <span class="dim">{s.maintenance} in maintenance</span> : null}
      {s.resting ? <span class="dim">{s.resting} at rest</span> : null}
      {worst ? (
        <span class="summary-worst">
          worst:{' '}
          <a href={href('pair', { mesh: m.mesh, class: m.class, source: nodeName(m, worst.cell.source), target: nodeName(m, worst.cell.target) })}>{worst.agent ?? pairName(m, worst.cell)}</a> {worst.agent ? 'down' : complaint(m, worst.cell)}
          {since ? (
            <>
              {' '}
              since <Since at={since} />
            </>
          ) : null}
        </span>
      ) : null}
    </div>
  );
}

function Groups(p: { all: readonly string[]; folded: (g: string) => boolean; model: Model; by: string }) {
  const wrong = useMemo(() => {
    const n = new Map<string, number>();
    const m = p.model.answer;
    for (const c of p.model.cells)
      if (isWrong(c)) {
        const of = new Set([c.source, c.target].map((i) => m.nodes[i]?.labels[p.by] ?? '(none)'));
        for (const g of of) n.set(g, (n.get(g) ?? 0) + 1);
      }
    return n;
  }, [p.model, p.by]);
  const toggle = (g: string) => setQuery({ fold: foldText(p.all, (x) => (x === g ? !p.folded(x) : p.folded(x))) }, { replace: true });
  return (
    <div class="groups" role="group" aria-label={`Groups by ${p.by}`}>
      <button type="button" onClick={() => setQuery({ fold: '*' }, { replace: true })}>
        Fold all
      </button>
      <button type="button" onClick={() => setQuery({ fold: 'none' }, { replace: true })}>
        Unfold all
      </button>
      {p.all.map((g) => (
        <button key={g} type="button" aria-expanded={!p.folded(g)} onClick={() => toggle(g)}>
          <span aria-hidden="true">{p.folded(g) ? '\u25b8' : '\u25be'}</span> {g}
          {wrong.get(g) ? <span class="tone-critical"> {`${wrong.get(g)} wrong`}</span> : null}
        </button>
      ))}
    </div>
  );
}

export function Matrix() {
  const { query } = useRoute();
  const metric = (query.get('metric') ?? 'loss') as Metric;
  const at = query.get('at');
  const asTable = query.get('view') === 'table';
  const onlyWrong = query.get('only') === 'wrong';
  const find = query.get('find') ?? '';
  const by = query.get('group') ?? '';
  const ways = (WAYS.find(([w]) => w === query.get('ways'))?.[0] ?? 'both') as Ways;
  const zoom = Number(query.get('zoom')) || 1;

  const asked = { mesh: query.get('mesh'), class: query.get('class'), metric, at, select: query.get('select'), target_select: query.get('target_select') };
  const matrix = useApi<MatrixAnswer>('matrix', asked, at ? null : 'published');
  const alerts = useApi<Alerts>('alerts', at ? { state: 'all', limit: 10000 } : {}, at ? null : 'alerts');
  const { model, arrivedMs } = useShown(matrix.data);
  const m = model?.answer ?? null;

  const keys = useMemo(() => (m ? labelKeys(m) : []), [m]);
  const all = useMemo(() => (m ? groups(m, by) : []), [m, by]);
  const folded = foldOf(query.get('fold'), m?.nodes.length ?? 0);
  const shape = useMemo(() => (model ? view(model, { group: by, fold: folded, find, onlyWrong }) : null), [model, by, query.get('fold'), find, onlyWrong]);
  const list = useMemo(() => (model ? troubles(model) : []), [model]);
  // Since when an agent is down, only its last contact tells; asked for only when one is.
  const agents = useApi<Agents>(!at && list.some((t) => t.agent !== null) ? 'agents' : null, {}, 'agents');
  const contact = useMemo(() => new Map((agents.data?.agents ?? []).map((a) => [a.name, a.last_contact])), [agents.data]);
  const { since, wide } = useMemo(() => {
    const now = during(alerts.data?.alerts ?? [], at);
    return { since: sinceOf(now, { mesh: m?.mesh ?? '', class: m?.class ?? '', metric: m?.metric ?? '' }), wide: now.filter((a) => a.kind !== 'pair' && a.metric !== 'agent_down' && a.state === 'firing') };
  }, [alerts.data, at, m?.mesh, m?.class, m?.metric]);

  const classes = (m?.choices ?? []).flatMap((c) => c.classes.map((k) => [`${c.mesh}\n${k}`, `${c.mesh} / ${k}`] as const));
  const pairHref = (q: Square) => {
    const c = q.worst;
    if (!m || !c) return null;
    return { page: 'pair', query: { mesh: m.mesh, class: m.class, source: nodeName(m, c.source), target: nodeName(m, c.target), at } };
  };

  return (
    <Page
      title="Matrix"
      wide
      aside={
        m ? (
          <>
            <Select
              label="Mesh / class"
              value={`${m.mesh}\n${m.class}`}
              options={classes}
              onChange={(v) => {
                const [mesh, k] = v.split('\n');
                setQuery({ mesh, class: k });
              }}
            />
            <Select label="Number" value={metric} options={METRICS} onChange={(v) => setQuery({ metric: v === 'loss' ? null : v })} />
            <Select label="Show" value={ways} options={WAYS} onChange={(v) => setQuery({ ways: v === 'both' ? null : v })} />
            {keys.length ? <Select label="Group by" value={by} options={[['', 'nothing'], ...keys.map((k) => [k, k] as const)]} onChange={(v) => setQuery({ group: v, fold: null })} /> : null}
            <Field label="Find">
              <input type="search" size={14} placeholder="name or site=..." value={find} onInput={(e) => setQuery({ find: e.currentTarget.value }, { replace: true })} />
            </Field>
            <Check label="Only what is wrong" checked={onlyWrong} onChange={(v) => setQuery({ only: v ? 'wrong' : null })} />
            <Select
              label="Size"
              value={String(zoom)}
              options={[
                ['0.6', 'small'],
                ['1', 'fit'],
                ['1.6', 'large'],
              ]}
              onChange={(v) => setQuery({ zoom: v === '1' ? null : v }, { replace: true })}
            />
            <button type="button" onClick={() => setQuery({ view: asTable ? null : 'table' })}>
              {asTable ? 'As a grid' : 'As a table'}
            </button>
          </>
        ) : null
      }
    >
      {at ? <PastBand at={at} shown={m && !m.live ? m.at : null} /> : null}
      <ErrorBox error={matrix.error} stale={m !== null} retry={matrix.reload} />
      {!m && !matrix.error ? <Loading what="the matrix" /> : null}
      {model && m && m.cells.length === 0 ? <Empty>{m.choices.length ? 'No pair of this mesh and class.' : 'Nothing is scheduled: twampctl schedule apply -f mesh.yaml'}</Empty> : null}
      {model && m && shape && m.cells.length > 0 ? (
        <>
          <SummaryLine model={model} worst={list[0]} since={since} contact={contact} />
          <TimeBar at={at} span={query.get('span')} />
          {by ? <Groups all={all} folded={folded} model={model} by={by} /> : null}
          {asTable ? (
            <PairTable model={model} find={find} onlyWrong={onlyWrong} since={since} />
          ) : (
            <div class={at ? 'matrix-columns is-past' : 'matrix-columns'} aria-busy={matrix.loading}>
              <div class="matrix-main">
                {shape.rows.length && shape.cols.length ? (
                  <Grid
                    view={shape}
                    ways={ways}
                    onlyWrong={onlyWrong}
                    zoom={zoom}
                    arrivedMs={arrivedMs}
                    label={`${m.mesh} / ${m.class}, ${m.metric}: sources in rows, targets in columns`}
                    pairHref={pairHref}
                    unfold={(g) => setQuery({ fold: foldText(all, (x) => x !== g && folded(x)) }, { replace: true })}
                  />
                ) : (
                  <Empty>{onlyWrong ? 'Nothing is wrong.' : 'Nothing of that name.'}</Empty>
                )}
                <Legend key={m.metric} model={model} />
              </div>
              <Worst model={model} list={list} wide={wide} since={since} contact={contact} />
            </div>
          )}
        </>
      ) : null}
    </Page>
  );
}
