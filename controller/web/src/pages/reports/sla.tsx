/* Were objectives kept? Error budgets, and when a pair was unavailable. */
import { useState } from 'preact/hooks';
import { apiUrl } from '../../api/client';
import { percent, plural, seconds, span, time } from '../../format';
import { href, setQuery, useRoute, type Query } from '../../router';
import { Table, type Column } from '../../ui/Table';
import { Empty, Section, StateBadge } from '../../ui/parts';
import { Answered, Filter, PairLink, useData } from '../ops/parts';
import type { Goal, Sla, SlaPair } from '../ops/types';
import { Meter } from '../test/show';
import { SpanBar } from './bar';
import { objectives } from './query';

const goals = [
  ['availability', 'Availability', '99.9%'],
  ['loss', 'Loss', '0.5%'],
  ['p95', 'RTT p95', '40ms'],
  ['p99', 'RTT p99', '80ms'],
] as const;

export function SlaForm() {
  const { query } = useRoute();
  const own = query.get('objectives') ?? '';
  const [text, setText] = useState(own);
  return (
    <>
      <div class="bar">
        {goals.map(([key, label, hint]) => (
          <Filter key={key} label={label} param={`goal.${key}`} hint={hint} />
        ))}
      </div>
      <details open={own !== ''}>
        <summary>Objectives as a document, with classes of their own</summary>
        <form
          class="bar"
          onSubmit={(e) => {
            e.preventDefault();
            setQuery({ objectives: text.trim() || null });
          }}
        >
          <label class="sr-only" for="objectives">
            Objectives, YAML
          </label>
          <textarea id="objectives" class="objectives" rows={5} value={text} spellcheck={false} placeholder={'availability: 99.9%\nclasses:\n  voice: { p99: 30ms }'} onInput={(e) => setText(e.currentTarget.value)} />
          <button type="submit">Judge by it</button>
        </form>
      </details>
    </>
  );
}

const number = (g: Goal, v: number | null): string => (g.kind === 'p95' || g.kind === 'p99' ? seconds(v) : percent(v));
const whole = (v: number | null) => (v === null ? '-' : Number(v.toFixed(2)).toString());

interface Row {
  pair: SlaPair;
  goal: Goal;
}

function verdict(v: string) {
  return <StateBadge state={v === 'met' ? 'ok' : v === 'missed' ? 'critical' : 'no_data'} text={v} />;
}

const rank: Record<string, number> = { missed: 0, unknown: 1, met: 2 };
const used = (g: Goal) => (g.budget && g.used !== null ? g.used / g.budget : g.used ? Infinity : 0);

const columns: readonly Column<Row>[] = [
  { key: 'mesh', title: 'Mesh/class', sort: (r) => `${r.pair.mesh}/${r.pair.class}`, cell: (r) => `${r.pair.mesh}/${r.pair.class}` },
  { key: 'pair', title: 'Pair', sort: (r) => `${r.pair.source} > ${r.pair.target}`, cell: (r) => <PairLink mesh={r.pair.mesh} class={r.pair.class} source={r.pair.source} target={r.pair.target} /> },
  { key: 'goal', title: 'Objective', sort: (r) => r.goal.kind, cell: (r) => `${r.goal.kind} ${r.goal.kind === 'availability' ? 'at least' : 'at most'} ${number(r.goal, r.goal.limit)}` },
  { key: 'verdict', title: 'Verdict', sort: (r) => (rank[r.goal.verdict] ?? 9) * 1000 - Math.min(used(r.goal), 999), cell: (r) => verdict(r.goal.verdict) },
  { key: 'achieved', title: 'Achieved', num: true, sort: (r) => r.goal.achieved, cell: (r) => number(r.goal, r.goal.achieved) },
  {
    key: 'budget',
    title: 'Error budget used',
    sort: (r) => used(r.goal),
    cell: (r) => {
      const u = used(r.goal);
      if (r.goal.budget === null) return '-';
      return (
        <>
          <Meter value={Math.min(1, u)} tone={u > 1 ? 'critical' : u > 0.75 ? 'warning' : 'ok'} label={`Error budget used by ${r.pair.source} > ${r.pair.target}, ${r.goal.kind}`} />
          <span class="dim">{`${whole(r.goal.used)} of ${whole(r.goal.budget)} ${r.goal.unit}`}</span>
        </>
      );
    },
  },
  { key: 'left', title: 'Left', num: true, sort: (r) => r.goal.left, cell: (r) => whole(r.goal.left) },
  { key: 'complete', title: 'Complete', hint: 'report periods stored, of those expected', num: true, cell: (r) => (r.pair.periods_expected ? percent(Math.min(1, r.pair.periods_stored / r.pair.periods_expected)) : '-') },
];

interface OutageRow {
  pair: SlaPair;
  start: string | null;
  end: string | null;
  windows: number;
  flow: number;
}
const outages: readonly Column<OutageRow>[] = [
  { key: 'pair', title: 'Pair', sort: (o) => `${o.pair.mesh}/${o.pair.class} ${o.pair.source} > ${o.pair.target}`, cell: (o) => <PairLink {...o.pair} text={`${o.pair.mesh}/${o.pair.class} ${o.pair.source} > ${o.pair.target}`} /> },
  { key: 'start', title: 'Unavailable from', sort: (o) => o.start, cell: (o) => time(o.start) },
  { key: 'end', title: 'to', sort: (o) => o.end, cell: (o) => time(o.end) },
  { key: 'long', title: 'Duration', num: true, sort: (o) => Date.parse(o.end ?? '') - Date.parse(o.start ?? ''), cell: (o) => span(Date.parse(o.end ?? '') - Date.parse(o.start ?? '')) },
  { key: 'windows', title: 'Windows', num: true, sort: (o) => o.windows, cell: (o) => o.windows },
  { key: 'flow', title: 'Flow', num: true, sort: (o) => o.flow, cell: (o) => o.flow },
];

function Excluded(p: { pairs: readonly SlaPair[] }) {
  const spans = [...new Set(p.pairs.flatMap((x) => x.excluded.map((e) => `${time(e.from)} to ${time(e.to)}`)))];
  if (!spans.length) return null;
  return (
    <p class="dim">
      Maintenance was left out: {spans.slice(0, 10).join('; ')}
      {spans.length > 10 ? `; and ${spans.length - 10} more` : ''}.
    </p>
  );
}

export function SlaView(p: { query: Query }) {
  const { query } = useRoute();
  const asks = objectives(query) !== '';
  const answer = useData<Sla>(asks ? 'report/sla' : null, p.query);
  if (!asks) return <Empty>Say what was promised: an objective above, such as an availability of 99.9%.</Empty>;
  return (
    <>
      <SpanBar answer={answer}>
        <span class="row-actions push">
          <a href={apiUrl('report/sla', p.query)} download="sla.json">
            JSON
          </a>
        </span>
      </SpanBar>
      <Answered answer={answer} what="the objectives">
        {(data) => {
          const down = data.pairs.flatMap((pair) => pair.outages.map((o): OutageRow => ({ pair, ...o })));
          return (
            <>
              <p>
                {plural(data.met, 'pair')} met, <span class={data.missed ? 'tone-critical' : ''}>{data.missed} missed</span>, {data.unknown} unknown.
                {data.pairs.some((x) => x.inexact) ? ' Where only roll-ups are left, what maintenance reaches into counts as a whole.' : ''}
              </p>
              <Table
                caption="Objectives"
                name="sla"
                columns={columns}
                rows={data.pairs.flatMap((pair) => pair.goals.map((goal): Row => ({ pair, goal })))}
                rowKey={(r) => `${r.pair.mesh}/${r.pair.class}/${r.pair.source}/${r.pair.target}/${r.goal.kind}`}
                initialSort="verdict"
                empty="Nothing was scheduled or is stored in this span."
              />
              <Excluded pairs={data.pairs} />
              {down.length ? (
                <Section title="Unavailable">
                  <Table caption="Unavailable" name="down" columns={outages} rows={down} rowKey={(o) => `${o.pair.mesh}/${o.pair.class}/${o.pair.source}/${o.pair.target}/${o.flow}/${o.start}`} initialSort="-start" />
                </Section>
              ) : null}
              {data.truncated ? (
                <p>
                  There are more pairs: <a href={href('reports', { ...Object.fromEntries(query), skip: data.next })}>the next ones</a>
                </p>
              ) : null}
            </>
          );
        }}
      </Answered>
    </>
  );
}
