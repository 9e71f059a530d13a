/* The plots of a pair, one under the other on the same axis of time. */
import { useMemo } from 'preact/hooks';
import { percent, seconds } from '../../format';
import type { Outage } from '../../api/types';
import { delayLabel, delayScale, linearSplits, logSplits, ratioLabel, rootSplits, signedSplits } from '../../plot/axis';
import type { Cursor } from '../../plot/cursor';
import { extent, pick, shifted, stretches, type Grid } from '../../plot/grid';
import { Plot, PlotFrame, type Draw, type Line, type YAxis } from '../../plot/Plot';
import { drawBars, drawEventLines, drawGaps, drawHeat, drawInvalid, drawLanes, drawLoss, drawRuns, heatRange, LANES, LANE_HEIGHT, lossRatio, type HeatCells } from './draw';
import { Keys, type KeyOf } from './keys';
import { clockOf, delay, directionWord, number, tosText, ttlText, type Gap, type SeriesGrid } from './model';
import type { Direction, FlowStep, Numbers, TimelineEvent } from './types';

export interface Shown {
  grid: SeriesGrid;
  before: Grid<Numbers> | null; // the same span earlier
  shiftMs: number;
  beforeName: string;
  direction: Direction;
  heat: HeatCells | null;
  gaps: readonly Gap[];
  runs: readonly Outage[];
  events: readonly TimelineEvent[];
}
export interface PlotsProps {
  shown: Shown;
  view: readonly [number, number];
  cursor: Cursor;
  gutter: number;
}

type Values = (number | null)[];

function values(s: Shown, of: (n: Numbers) => number | null): { now: Values; before: Values | null } {
  return { now: pick(s.grid, of), before: s.before ? shifted(s.grid, s.before, s.shiftMs).map((n) => (n ? of(n) : null)) : null };
}

function delayAxis(lists: readonly Values[], heat: [number, number] | null): YAxis {
  const lines = extent(lists);
  const range: [number, number] | null = lines && heat ? [Math.min(lines[0], heat[0]), Math.max(lines[1], heat[1])] : (lines ?? heat);
  const scale = delayScale(range);
  return { ...scale, splits: scale.kind === 'log' ? logSplits : (a, b) => signedSplits(a, b, scale.threshold), label: delayLabel };
}

function Delays({ shown: s, ...p }: PlotsProps) {
  const drawn = useMemo(() => {
    const of = (what: string) => values(s, delay(s.direction, what));
    const [p50, p95, p99] = [of('p50'), of('p95'), of('p99')];
    const lines: Line[] = [];
    for (const v of [p50, p99]) if (v.before) lines.push({ values: v.before, color: (c) => c.before, dash: [2, 3], width: 1.5, halo: true });
    lines.push({ values: p99.now, color: (c) => c.p99, width: 1, halo: true }, { values: p95.now, color: (c) => c.p95, dash: [6, 3], width: 1.5, halo: true }, { values: p50.now, color: (c) => c.p50, width: 1.75, halo: true });
    const y = delayAxis(lines.map((l) => l.values as Values), s.heat ? heatRange(s.heat) : null);
    const invalid = s.direction === 'roundtrip' ? [] : stretches(s.grid, (n) => n !== null && clockOf(n) === 'invalid');
    const doubt = (i: number) => (s.direction !== 'roundtrip' && clockOf(s.grid.steps[i] ?? null) === 'invalid' ? '?' : '');
    const keys: KeyOf[] = [
      { swatch: 'p50', label: 'p50', value: (i) => seconds(p50.now[i]) + doubt(i) },
      { swatch: 'p95', label: 'p95', value: (i) => seconds(p95.now[i]) + doubt(i) },
      { swatch: 'p99', label: 'p99', value: (i) => seconds(p99.now[i]) + doubt(i) },
    ];
    if (p50.before) keys.push({ swatch: 'before', label: `p50, p99 ${s.beforeName}`, value: (i) => `${seconds(p50.before?.[i])}, ${seconds(p99.before?.[i])}` });
    return { lines, y, invalid, keys };
  }, [s]);
  const under = (d: Draw) => {
    drawGaps(d, s.gaps, true);
    if (s.heat) drawHeat(d, s.heat, s.grid);
    drawInvalid(d, drawn.invalid);
    drawEventLines(d, s.events);
  };
  const name = directionWord(s.direction);
  return (
    <PlotFrame title={`Delay, ${name}`} words="heat: probes; lines: p50 thick, p95 dashed, p99 thin" keys={<><Keys grid={s.grid} cursor={p.cursor} keys={drawn.keys} />{s.heat && s.heat.most > 0 ? <HeatLegend most={s.heat.most} /> : null}</>}>
      <Plot {...p} title={`Delay, ${name}, as a heat map of probes with percentiles`} height={240} stepS={s.grid.stepMs / 1000} mids={s.grid.mids} lines={drawn.lines} y={drawn.y} under={under} times version={s} />
    </PlotFrame>
  );
}

function HeatLegend(p: { most: number }) {
  return (
    <span class="heat-legend" title="probes with such a delay in one step">
      1 {[0, 1, 2, 3, 4].map((i) => <i key={i} class={`shade-${i}`} />)} {p.most} probes
    </span>
  );
}

function Loss({ shown: s, ...p }: PlotsProps) {
  const drawn = useMemo(() => {
    const all = values(s, (n) => lossRatio(n, 'lost'));
    const most = Math.max(0, ...all.now.map((v) => v ?? 0), ...(all.before ?? []).map((v) => v ?? 0));
    const max = most > 0 ? Math.min(1.12, most * 1.25) : 0.01;
    const y: YAxis = { kind: 'root', min: 0, max, splits: (_, b) => rootSplits(b), label: ratioLabel };
    const part = (key: 'lost_forward' | 'lost_backward' | 'lost_unknown') => (i: number) => percent(lossRatio(s.grid.steps[i] ?? null, key));
    const keys: KeyOf[] = [
      { swatch: 'forward', label: 'forward', value: part('lost_forward') },
      { swatch: 'backward', label: 'backward', value: part('lost_backward') },
      { swatch: 'unknown', label: 'unknown', value: part('lost_unknown') },
    ];
    const lines: Line[] = all.before ? [{ values: all.before, color: (c) => c.before, dash: [2, 3] }] : [];
    if (all.before) keys.push({ swatch: 'before', label: `all, ${s.beforeName}`, value: (i) => percent(all.before?.[i]) });
    return { y, keys, lines };
  }, [s]);
  const under = (d: Draw) => {
    drawGaps(d, s.gaps, false);
    drawLoss(d, s.grid);
    drawEventLines(d, s.events);
    drawRuns(d, s.runs);
  };
  return (
    <PlotFrame title="Loss" words="square-root axis; stacked: forward, backward, unknown; above: loss runs, ▲ forward ▼ backward ◆ both ? unknown" keys={<Keys grid={s.grid} cursor={p.cursor} keys={drawn.keys} />}>
      <Plot {...p} title="Loss over time by direction, and loss runs" height={110} stepS={s.grid.stepMs / 1000} mids={s.grid.mids} lines={drawn.lines} y={drawn.y} under={under} version={s} />
    </PlotFrame>
  );
}

function Jitter({ shown: s, ...p }: PlotsProps) {
  const drawn = useMemo(() => {
    const rfc = values(s, delay(s.direction, 'jitter_rfc3550'));
    const ipdv = values(s, delay(s.direction, 'jitter_ipdv'));
    const lines: Line[] = [
      { values: ipdv.now, color: (c) => c.p95, dash: [6, 3] },
      { values: rfc.now, color: (c) => c.p50 },
    ];
    const keys: KeyOf[] = [
      { swatch: 'p50', label: 'RFC 3550', value: (i) => seconds(rfc.now[i]) },
      { swatch: 'p95', label: 'IPDV', value: (i) => seconds(ipdv.now[i]) },
    ];
    if (rfc.before) {
      lines.unshift({ values: rfc.before, color: (c) => c.before, dash: [2, 3] });
      keys.push({ swatch: 'before', label: `RFC 3550 ${s.beforeName}`, value: (i) => seconds(rfc.before?.[i]) });
    }
    const max = (extent(lines.map((l) => l.values))?.[1] ?? 0.001) * 1.15 || 1e-4;
    const y: YAxis = { kind: 'linear', min: 0, max, splits: (a, b) => linearSplits(a, b, 3), label: delayLabel };
    return { lines, keys, y };
  }, [s]);
  const under = (d: Draw) => (drawGaps(d, s.gaps, false), drawEventLines(d, s.events));
  return (
    <PlotFrame title={`Jitter, ${directionWord(s.direction)}`} words="RFC 3550 solid, IPDV dashed" keys={<Keys grid={s.grid} cursor={p.cursor} keys={drawn.keys} />}>
      <Plot {...p} title="Jitter over time" height={90} stepS={s.grid.stepMs / 1000} mids={s.grid.mids} lines={drawn.lines} y={drawn.y} under={under} version={s} />
    </PlotFrame>
  );
}

function Ttl({ shown: s, ...p }: PlotsProps) {
  const drawn = useMemo(() => {
    const of = (key: string) => pick(s.grid, (n) => number(n, key));
    const lists = [of('ttl_forward_min'), of('ttl_forward_max'), of('ttl_backward_min'), of('ttl_backward_max')];
    const colors: Line['color'][] = [(c) => c.forward, (c) => c.forward, (c) => c.backward, (c) => c.backward];
    const lines: Line[] = lists.map((v, i) => ({ values: v, color: colors[i] ?? ((c) => c.text), width: 2, ...(i > 1 ? { dash: [5, 3] } : {}) }));
    const range = extent(lists);
    const y: YAxis = { kind: 'linear', min: (range?.[0] ?? 0) - 1.5, max: (range?.[1] ?? 255) + 1.5, splits: (a, b) => linearSplits(Math.ceil(a), Math.floor(b), 3).filter(Number.isInteger), label: String };
    const keys: KeyOf[] = (['forward', 'backward'] as const).map((way) => ({
      swatch: way,
      label: way,
      value: (i: number) => `TTL ${ttlText(s.grid.steps[i] ?? null, way) ?? '-'}, DSCP ${tosText(s.grid.steps[i] ?? null, way) ?? '-'}`,
    }));
    return { lines, y, keys };
  }, [s]);
  const under = (d: Draw) => (drawGaps(d, s.gaps, false), drawEventLines(d, s.events));
  return (
    <PlotFrame title="TTL" words="as it arrived: forward solid, backward dashed" keys={<Keys grid={s.grid} cursor={p.cursor} keys={drawn.keys} />}>
      <Plot {...p} title="TTL over time" height={70} stepS={s.grid.stepMs / 1000} mids={s.grid.mids} lines={drawn.lines} y={drawn.y} under={under} version={s} />
    </PlotFrame>
  );
}

const laneAxis: YAxis = {
  kind: 'linear',
  min: 0,
  max: LANES.length,
  splits: () => LANES.map((_, i) => i + 0.5),
  label: (v) => LANES[LANES.length - 1 - Math.floor(v)] ?? '',
};

function Lanes({ shown: s, ...p }: PlotsProps) {
  const under = (d: Draw) => (drawGaps(d, s.gaps, false), drawLanes(d, s.grid, s.events));
  return (
    <PlotFrame
      title="State"
      words="data, clocks, marking, events"
      keys={
        <span class="dim keys-note">
          data: low all back, middle loss, full height all lost, hatched none · clocks: low valid, hatched not · what happened stands in the list below
        </span>
      }
    >
      <Plot {...p} title="State of data and clocks, marking, and events over time" height={LANES.length * LANE_HEIGHT + 34} stepS={s.grid.stepMs / 1000} mids={s.grid.mids} lines={[]} y={laneAxis} under={under} times version={s} />
    </PlotFrame>
  );
}

export function Plots(p: PlotsProps) {
  return (
    <>
      <Delays {...p} />
      <Loss {...p} />
      <Jitter {...p} />
      <Ttl {...p} />
      <Lanes {...p} />
    </>
  );
}

/* ---- flows ---- */

export interface FlowGrid {
  flow: number;
  grid: Grid<FlowStep>;
}
interface FlowsProps {
  flows: readonly FlowGrid[];
  view: readonly [number, number];
  cursor: Cursor;
  gutter: number;
  version: unknown;
}

function flowValues(grid: Grid<FlowStep>) {
  return {
    p50: pick(grid, (s) => s.delay_roundtrip_p50_seconds),
    p95: pick(grid, (s) => s.delay_roundtrip_p95_seconds),
    loss: pick(grid, (s) => s.loss_ratio),
  };
}

function Flow(p: Omit<FlowsProps, 'flows'> & { flow: FlowGrid; y: YAxis; lossMax: number }) {
  const { flow, grid } = p.flow;
  const drawn = useMemo(() => {
    const v = flowValues(grid);
    const lines: Line[] = [
      { values: v.p95, color: (c) => c.p95, dash: [6, 3] },
      { values: v.p50, color: (c) => c.p50 },
    ];
    const keys: KeyOf[] = [
      { swatch: 'p50', label: 'p50', value: (i) => seconds(v.p50[i]) },
      { swatch: 'p95', label: 'p95', value: (i) => seconds(v.p95[i]) },
      { swatch: 'lost', label: 'loss', value: (i) => percent(v.loss[i]) },
    ];
    return { lines, keys, loss: v.loss };
  }, [p.version, flow]);
  const lossAxis: YAxis = { kind: 'root', min: 0, max: p.lossMax, splits: (_, b) => rootSplits(b, 0.4), label: ratioLabel };
  const common = { stepS: grid.stepMs / 1000, mids: grid.mids, view: p.view, cursor: p.cursor, gutter: p.gutter, version: p.version };
  return (
    <div class="flow">
      <PlotFrame title={`Flow ${flow}`} words="round trip: p50 thick, p95 dashed" keys={<Keys grid={grid} cursor={p.cursor} keys={drawn.keys} />}>
        <Plot {...common} title={`Round trip of flow ${flow} over time`} height={120} lines={drawn.lines} y={p.y} />
      </PlotFrame>
      <PlotFrame title="" words={`Loss of flow ${flow}`}>
        <Plot {...common} title={`Loss of flow ${flow} over time`} height={70} lines={[]} y={lossAxis} under={(d) => drawBars(d, grid, drawn.loss)} times />
      </PlotFrame>
    </div>
  );
}

/* All flows to the same scales, so that they can be compared by eye. */
export function Flows(p: FlowsProps) {
  const { y, lossMax } = useMemo(() => {
    const all = p.flows.map((f) => flowValues(f.grid));
    const most = extent(all.map((v) => v.loss))?.[1] ?? 0;
    return { y: delayAxis(all.flatMap((v) => [v.p50, v.p95]), null), lossMax: most > 0 ? Math.min(1.05, most * 1.2) : 0.01 };
  }, [p.version]);
  const { flows, ...rest } = p;
  return (
    <div class="flows">
      {flows.map((f) => (
        <Flow key={f.flow} flow={f} y={y} lossMax={lossMax} {...rest} />
      ))}
    </div>
  );
}
