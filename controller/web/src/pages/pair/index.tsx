/* One pair over time. Everything that is chosen stands in the address: span (from, to), zoom, dir, compare, flows. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Outage, PairNumbers } from '../../api/types';
import { serverNow } from '../../api/client';
import { clock, millis, percent, plural, seconds, span as spanText, time, word } from '../../format';
import { useLive } from '../../live/hooks';
import { href, setQuery, useRoute } from '../../router';
import { Table, type Column } from '../../ui/Table';
import { Check, Empty, ErrorBox, Loading, Page, Section, Select, Since, StateBadge } from '../../ui/parts';
import { SPANS } from '../../ui/spans';
import { Cursor } from '../../plot/cursor';
import { Timeline, type Moves } from '../../plot/Timeline';
import { toGrid } from '../../plot/grid';
import { clamp, moment, panBy, parseBefore, sameView, viewOf, zoomBy, zoomText, type Asked, type View } from '../../plot/view';
import { pointsFor, spanQuery, useBefore, usePairData, usePairsNow, useRefresh, type Names, type PairData } from './data';
import { heatCells } from './draw';
import { csvOf, download, fileName, pngOf } from './export';
import { Readout, stepWords } from './keys';
import { changesOf, clockText, describe, DIRECTIONS, directionWord, eventLook, gapsOf, gridOf, type SeriesGrid } from './model';
import './pair.css';
import { NumbersTable, type Block } from './numbers';
import { Flows, Plots, type FlowGrid, type Shown } from './plots';
import type { Direction, Numbers, PairNow, Series, TimelineEvent } from './types';

const COMPARE: readonly (readonly [string, string, number])[] = [
  ['', 'nothing', 0],
  ['1d', 'the day before', 86400_000],
  ['7d', 'the week before', 7 * 86400_000],
];
const BEFORE_NAMES: Record<string, string> = { '1d': 'the day before', '7d': 'the week before' };

/* ---- the view: as the address says, or while one drags, as the hand says ---- */

const COMMIT_MS = 300;

function useMoves(asked: Asked, stepMs: number): { shown: View; moves: Moves } {
  const [pending, setPending] = useState<View | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  const written = asked.zoomed ? zoomText(asked.view) : '';
  useEffect(() => setPending(null), [written, asked.span.live ? 'live' : `${asked.span.fromMs} ${asked.span.toMs}`]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const shown = pending ?? asked.view;
  const commit = (v: View, replace: boolean) => {
    setPending(v);
    const spanned = sameView(v, asked.span) || (v.live && asked.span.live && Math.abs(v.toMs - v.fromMs - (asked.span.toMs - asked.span.fromMs)) < 1000);
    setQuery({ zoom: spanned ? null : zoomText(v) }, { replace });
    if (spanned || zoomText(v) === written) setPending(null);
  };
  const moves: Moves = {
    view: shown,
    stepMs,
    now: serverNow,
    change: (v, settled) => {
      clearTimeout(timer.current);
      if (settled) commit(v, false);
      else {
        setPending(v);
        timer.current = setTimeout(() => commit(v, true), COMMIT_MS);
      }
    },
    reset: () => {
      clearTimeout(timer.current);
      setPending(null);
      setQuery({ zoom: null });
    },
  };
  return { shown, moves };
}

/* ---- the parts of the page ---- */

function Toolbar(p: { asked: Asked; query: URLSearchParams; direction: Direction; compare: string; flows: boolean; manyFlows: boolean; moves: Moves; onCsv: (() => void) | null; onPng: (() => void) | null }) {
  const from = p.query.get('from') || '-1h';
  const to = p.query.get('to');
  const own = !!to || !SPANS.some(([v]) => v === from);
  const spans: readonly (readonly [string, string])[] = own ? [...SPANS, ['own', to ? `${from} to ${to}` : parseBefore(from) === null ? `since ${from}` : `last ${spanText(parseBefore(from))}`]] : SPANS;
  const { view, now, change, reset } = p.moves;
  const middle = view.live ? view.toMs : (view.fromMs + view.toMs) / 2;
  const length = view.toMs - view.fromMs;
  return (
    <div class="pair-tools" role="toolbar" aria-label="What is shown">
      <div class="segments" role="group" aria-label="Direction">
        {DIRECTIONS.map(([d, text]) => (
          <button key={d} type="button" aria-pressed={d === p.direction} onClick={() => setQuery({ dir: d === 'roundtrip' ? null : d })}>
            {text}
          </button>
        ))}
      </div>
      <Select label="Span" value={own ? 'own' : from} options={spans} onChange={(v) => v !== 'own' && setQuery({ from: v === '-1h' ? null : v, to: null, zoom: null })} />
      <Select label="Compare" value={p.compare} options={COMPARE.map(([v, t]) => [v, t] as const)} onChange={(v) => setQuery({ compare: v })} />
      {p.manyFlows || p.flows ? <Check label="Flows" checked={p.flows} onChange={(on: boolean) => setQuery({ flows: on })} /> : null}
      <div class="segments" role="group" aria-label="Zoom and pan">
        <button type="button" aria-label="Earlier" onClick={() => change(panBy(view, -length / 2, now()), true)}>
          ◀
        </button>
        <button type="button" aria-label="Zoom out" onClick={() => change(zoomBy(view, 2, middle, now()), true)}>
          −
        </button>
        <button type="button" aria-label="Zoom in" onClick={() => change(zoomBy(view, 0.5, middle, now()), true)}>
          +
        </button>
        <button type="button" aria-label="Later" disabled={view.live} onClick={() => change(panBy(view, length / 2, now()), true)}>
          ▶
        </button>
        <button type="button" disabled={!p.asked.zoomed} onClick={reset}>
          Whole span
        </button>
      </div>
      <span class="segments">
        <button type="button" disabled={!p.onCsv} onClick={() => p.onCsv?.()}>
          CSV
        </button>
        <button type="button" disabled={!p.onPng} onClick={() => p.onPng?.()}>
          PNG
        </button>
      </span>
    </div>
  );
}

const outageColumns: readonly Column<Outage>[] = [
  { key: 'start', title: 'Begin', sort: (o) => o.start, cell: (o) => <Since at={o.start} /> },
  { key: 'duration', title: 'Length', num: true, sort: (o) => o.duration_seconds, cell: (o) => seconds(o.duration_seconds) },
  { key: 'probes', title: 'Probes lost', num: true, sort: (o) => o.probes, cell: (o) => o.probes },
  { key: 'direction', title: 'Direction', sort: (o) => o.direction, cell: (o) => word(o.direction) },
  { key: 'flow', title: 'Flow', num: true, sort: (o) => o.flow, cell: (o) => o.flow },
  { key: 'ongoing', title: 'End', cell: (o) => (o.ongoing ? 'goes on' : <Since at={o.end} />) },
  { key: 'show', title: 'Show', cell: (o) => <ShowButton from={o.start} to={o.end} what="loss run" /> },
];

/* Zooms to a moment with some room around it. */
function ShowButton(p: { from: string | null; to: string | null; what: string }) {
  const a = millis(p.from);
  if (a === null) return null;
  const b = Math.max(a, millis(p.to) ?? a);
  const room = Math.max(60_000, b - a);
  return (
    <button type="button" class="small" aria-label={`Zoom to the ${p.what} of ${moment(a)}`} onClick={() => setQuery({ zoom: zoomText(clamp(a - room, b + room, serverNow())) })}>
      Zoom
    </button>
  );
}

const tone = (severity: string) => (severity === 'critical' || severity === 'warning' ? severity : 'info');
const eventColumns: readonly Column<TimelineEvent>[] = [
  { key: 'at', title: 'At', sort: (e) => e.at, cell: (e) => <Since at={e.at} /> },
  {
    key: 'kind',
    title: 'What',
    sort: (e) => e.kind,
    cell: (e) => (
      <span class={`badge tone-${tone(e.severity)}`}>
        <span class="sign" aria-hidden="true">
          {eventLook(e.kind).sign}
        </span>
        {eventLook(e.kind).word}
      </span>
    ),
  },
  { key: 'title', title: 'Event', cell: (e) => e.title },
  { key: 'detail', title: 'Detail', cell: (e) => <span class="dim">{e.detail}</span> },
  { key: 'until', title: 'Lasted', num: true, cell: (e) => (e.ongoing ? 'goes on' : e.until ? spanText((millis(e.until) ?? 0) - (millis(e.at) ?? 0)) : '') },
  { key: 'show', title: 'Show', cell: (e) => <ShowButton from={e.at} to={e.until} what={eventLook(e.kind).word} /> },
];

function Facts(p: { now: PairNow | null; report: PairNumbers | null; nowMs: number }) {
  const r = p.report;
  const n = (r ?? p.now?.last ?? null) as Partial<Numbers> | null;
  const mos = r ? (r as unknown as Numbers).mos_g711 : null;
  return (
    <p class="pair-facts">
      {p.now || r ? <StateBadge state={p.now?.state ?? r?.state ?? null} /> : null}
      {p.now?.maintenance_now ? <span class="badge tone-off">‖ maintenance</span> : null}
      {p.now?.last?.end ? <span>newest data {clock(p.now.last.end, p.nowMs)}</span> : null}
      {r ? <span>available {percent(r.availability_ratio)}</span> : null}
      {r ? <span>complete {percent(r.completeness.ratio)}{r.completeness.expected > r.completeness.stored ? ` (${r.completeness.expected - r.completeness.stored} of ${plural(r.completeness.expected, 'period')} missing)` : ''}</span> : null}
      {n ? <span>one-way delay {clockText(n)}</span> : null}
      {typeof mos === 'number' ? <span title="estimated, G.711 (ITU-T G.107)">MOS {mos.toFixed(1)}</span> : null}
    </p>
  );
}

function rangeText(grid: SeriesGrid): string {
  const step = grid.stepMs >= 1000 ? spanText(grid.stepMs) : `${grid.stepMs} ms`;
  return grid.raw ? `${step} steps, as measured` : `${step} steps: zoom in for finer ones`;
}

/* ---- one pair ---- */

function flowGrids(series: Series | null, grid: SeriesGrid | null): FlowGrid[] {
  if (!series?.flows || !grid) return [];
  return series.flows.map((f) => ({ flow: f.flow, grid: toGrid(f.steps, (s) => Math.round(s.start_ns / 1e6), grid.fromMs, grid.toMs, grid.stepMs) }));
}

function useShown(data: PairData, before: Series | null, direction: Direction, shiftMs: number, compare: string): Shown | null {
  const series = data.series.data;
  const events = data.timeline.data?.events ?? null;
  const live = data.series.data ? serverNow() - (millis(data.series.data.to) ?? 0) < 60_000 : false;
  return useMemo(() => {
    if (!series) return null;
    const grid = gridOf(series);
    const heat = series.heat && series.heat.direction === direction ? heatCells(series.heat, series.steps, grid) : null;
    const gaps = gapsOf(grid, { hours: data.completeness.data?.hours ?? null, events: events ?? [], liveToMs: live ? grid.toMs : null });
    return {
      grid,
      direction,
      heat,
      gaps,
      runs: data.outages.data?.outages ?? [],
      events: events ?? [],
      before: before && shiftMs ? gridOf(before) : null,
      shiftMs,
      beforeName: BEFORE_NAMES[compare] ?? '',
    };
  }, [series, before, direction, shiftMs, events, data.outages.data, data.completeness.data]);
}

function PairView({ names, now }: { names: Names; now: PairNow | null }) {
  const { query } = useRoute();
  const asked = viewOf(query, serverNow());
  const direction = (DIRECTIONS.find(([d]) => d === query.get('dir'))?.[0] ?? 'roundtrip') as Direction;
  const compare = COMPARE.find(([v]) => v === query.get('compare'))?.[0] ?? '';
  const shiftMs = COMPARE.find(([v]) => v === compare)?.[2] ?? 0;
  const flows = query.get('flows') === '1';
  const root = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => setWidth(root.current?.clientWidth ?? 800), []);
  const points = width ? pointsFor(width) : 0;
  const data = usePairData(names, spanQuery(asked, query), direction, flows, points);
  const { series } = data;
  const rough = useMemo(() => (series.data ? gridOf(series.data) : null), [series.data]);
  const before = useBefore(names, rough ? { startMs: rough.startMs, endMs: rough.startMs + rough.steps.length * rough.stepMs } : null, shiftMs, points);
  const shown = useShown(data, before.series.data, direction, shiftMs, compare);
  const { shown: view, moves } = useMoves(asked, shown?.grid.stepMs ?? 10_000);
  const [cursor] = useState(() => new Cursor());
  const [exportError, setExportError] = useState<Error | null>(null);
  useRefresh(asked.view.live, Math.min(60_000, Math.max(4_000, (shown?.grid.stepMs ?? 0) / 2)), () => {
    for (const a of Object.values(data)) a.reload();
  });
  const { publishedAt } = useLive();
  const nowMs = serverNow();
  // A live view ends where the newest answer ends.
  const length = view.toMs - view.fromMs;
  const end = view.live && shown && Math.abs(shown.grid.toMs - nowMs) < 120_000 ? shown.grid.toMs : view.toMs;
  const x: readonly [number, number] = [(end - length) / 1000, end / 1000];
  const gutter = width < 520 ? 52 : 62;
  const flowData = useMemo(() => flowGrids(series.data, shown?.grid ?? null), [series.data, shown?.grid]);
  const report = data.report.data?.pairs[0] ?? null;
  const words = shown ? describe({ direction, grid: shown.grid, gaps: shown.gaps, outages: data.outages.data?.outages ?? null, changes: changesOf(shown.grid), events: shown.events, nowMs }) : [];
  const title = `${names.source} > ${names.target}, ${names.mesh}/${names.class}, ${time(x[0] * 1000)} to ${time(x[1] * 1000)}`;
  const name = (ext: string) => fileName(names, x[0] * 1000, ext);
  const csv = () => series.data && shown && download(name('csv'), new Blob([csvOf(series.data, shown.gaps)], { type: 'text/csv' }));
  const png = () => {
    if (!root.current) return;
    pngOf(root.current, title, words).then((blob) => download(name('png'), blob), setExportError);
  };
  const errors = [series, data.outages, data.timeline, data.completeness, data.report, before.series].flatMap((a) => (a.error ? [a.error] : []));
  const blocks: Block[] = [
    { when: now?.last?.end ? `latest, ${clock(now.last.end, nowMs)}` : 'latest', of: now?.last ?? null },
    { when: 'shown span', of: report as unknown as Partial<Numbers> | null },
    { when: BEFORE_NAMES[compare] ?? '', of: shiftMs ? ((before.report.data?.pairs[0] as unknown as Partial<Numbers>) ?? null) : null },
  ];
  return (
    <>
      <Facts now={now} report={report} nowMs={nowMs} />
      <Toolbar asked={asked} query={query} direction={direction} compare={compare} flows={flows} manyFlows={(now?.flows ?? 1) > 1} moves={moves} onCsv={series.data ? () => void csv() : null} onPng={shown ? png : null} />
      <ErrorBox error={asked.error ? new Error(asked.error) : null} />
      <ErrorBox error={errors[0] ?? null} stale={series.data !== null} retry={() => Object.values(data).forEach((a) => a.reload())} />
      <ErrorBox error={exportError} />
      <div class="pair-range">
        <span class="range">
          {time(x[0] * 1000)} to {time(x[1] * 1000)} ({spanText(length)}){view.live ? ', live' : ''}
        </span>
        {shown ? <span class="dim">{rangeText(shown.grid)}</span> : null}
        <span class="dim" role="status">
          {series.loading && !series.current ? 'loading...' : ''}
        </span>
      </div>
      <div ref={root} data-published={publishedAt ?? undefined}>
        {shown ? (
          <>
            <div class="pair-words" id="pair-words">
              {words.map((t) => (
                <p key={t}>{t}</p>
              ))}
            </div>
            <Readout grid={shown.grid} gaps={shown.gaps} events={shown.events} cursor={cursor} nowMs={nowMs} />
            <Timeline label={`Plots of ${names.source} to ${names.target}. Arrows move the cursor, Shift and arrows the span, plus and minus zoom, 0 shows the whole span.`} describedBy="pair-words" moves={moves} cursor={cursor} said={(ms) => `${stepWords(shown.grid, shown.gaps, shown.events, ms, nowMs)} \u00b7 ${saidDelay(shown, ms)}`}>
              <Plots shown={shown} view={x} cursor={cursor} gutter={gutter} />
              {flows && flowData.length ? <Flows flows={flowData} view={x} cursor={cursor} gutter={gutter} version={shown} /> : null}
            </Timeline>
            <p class="dim pair-help">Drag to zoom, Shift and drag to pan, Ctrl and wheel to zoom, double click for the whole span. Keys: arrows, Shift and arrows, + − 0.</p>
          </>
        ) : series.error ? null : (
          <Loading what="the pair" />
        )}
      </div>
      <Section title="Numbers">
        <NumbersTable blocks={blocks} direction={direction} />
      </Section>
      <Section title="Events" aside={data.timeline.data?.truncated ? <span class="dim">the newest 1000</span> : null}>
        <Table caption="Events, newest first" name="events" columns={eventColumns} rows={data.timeline.data?.events ?? []} rowKey={(e) => `${e.at} ${e.kind} ${e.title}`} initialSort="-at" empty="None in this span." />
      </Section>
      {shown?.gaps.some((g) => !g.pending) ? <Gaps shown={shown} /> : null}
      <Section title="Loss runs">
        <Table caption="Loss runs, newest first" name="outages" columns={outageColumns} rows={data.outages.data?.outages ?? []} rowKey={(o) => `${o.flow}/${o.start}`} initialSort="-start" empty="None in this span." />
      </Section>
    </>
  );
}

function saidDelay(shown: Shown, ms: number): string {
  const s = shown.grid.steps[Math.floor((ms - shown.grid.startMs) / shown.grid.stepMs)];
  const of = (p: string) => seconds((s?.[`delay_${shown.direction}_${p}_seconds`] as number | null | undefined) ?? null);
  return s ? `${directionWord(shown.direction)} p50 ${of('p50')}, p95 ${of('p95')}, p99 ${of('p99')}` : '';
}

function Gaps({ shown }: { shown: Shown }) {
  const rows = shown.gaps.filter((g) => !g.pending);
  return (
    <Section title="Gaps">
      <Table
        caption="Stretches without data"
        name="gaps"
        columns={[
          { key: 'start', title: 'Begin', sort: (g) => g.startMs, cell: (g) => <Since at={g.startMs} /> },
          { key: 'length', title: 'Length', num: true, sort: (g) => g.endMs - g.startMs, cell: (g) => spanText(g.endMs - g.startMs) },
          { key: 'cause', title: 'Cause', sort: (g) => g.cause, cell: (g) => g.cause },
        ]}
        rows={rows}
        rowKey={(g) => g.startMs}
        initialSort="-start"
      />
    </Section>
  );
}

/* ---- which pair ---- */

export function Pair() {
  const { query } = useRoute();
  const source = query.get('source');
  const target = query.get('target');
  const answer = usePairsNow(source, target);
  const all = answer.data?.pairs ?? [];
  const mesh = query.get('mesh') ?? all.find((p) => !query.get('class') || p.class === query.get('class'))?.mesh ?? null;
  const found = all.find((p) => p.mesh === mesh && (!query.get('class') || p.class === query.get('class'))) ?? null;
  const klass = query.get('class') ?? found?.class ?? null;
  const names = source && target && mesh && klass ? { mesh, class: klass, source, target } : null;
  const value = `${mesh}/${klass}`;
  const options = all.map((p) => [`${p.mesh}/${p.class}`, `${p.mesh} / ${p.class}`] as const);
  if (names && !options.some(([v]) => v === value)) options.unshift([`${mesh}/${klass}`, `${mesh} / ${klass}`]);
  const choose = (v: string) => setQuery({ mesh: v.slice(0, v.indexOf('/')), class: v.slice(v.indexOf('/') + 1) });
  return (
    <Page
      wide
      title={source && target ? `${source} > ${target}` : 'Pair'}
      aside={
        names ? (
          <>
            <Select label="Mesh / class" value={value} options={options} onChange={choose} />
            <a href={href('pair', { ...Object.fromEntries(query), ...names, source: target, target: source })}>The other way round</a>
            <a href={href('matrix', { mesh, class: klass })}>To the matrix</a>
          </>
        ) : null
      }
    >
      {source && target ? null : <Empty>This address names no pair: it needs source and target.</Empty>}
      <ErrorBox error={answer.error} stale={answer.data !== null} retry={answer.reload} />
      {source && target && !names && answer.data ? <Empty>No such pair is scheduled now: to see what is stored of it, the address needs mesh and class, too.</Empty> : null}
      {source && target && !names && !answer.data && !answer.error ? <Loading what="the pair" /> : null}
      {names ? <PairView key={`${value}/${source}/${target}`} names={names} now={found} /> : null}
    </Page>
  );
}
