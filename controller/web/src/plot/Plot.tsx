/* One plot over time: uPlot for scales, axes and lines; what else is drawn (heat, bars, lanes, holes) comes as functions. It never joins values
 * across a step that has none: a value is a level line over its own step. Pointing, zooming and panning belong to <Timeline>. */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import './plot.css';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { useThemeVersion } from '../ui/theme';
import { timeLabels, timeSplits } from './axis';
import { colors, type Colors } from './colors';
import type { Cursor } from './cursor';

export interface Line {
  values: readonly (number | null)[];
  color: (c: Colors) => string;
  dash?: number[];
  width?: number;
  halo?: boolean; // a rim in the colour of the panel, over heat maps
}

export interface YAxis {
  min: number;
  max: number;
  kind: 'linear' | 'log' | 'signed' | 'root'; // root: what is small is seen beside what is large, and zero is zero
  threshold?: number;
  splits: (min: number, max: number) => number[];
  label: (v: number) => string;
}

/* What is drawn by hand: everything in pixels of the canvas. */
export interface Draw {
  ctx: CanvasRenderingContext2D;
  c: Colors;
  ratio: number;
  left: number;
  top: number;
  width: number;
  height: number;
  x: (seconds: number) => number;
  y: (value: number) => number;
}

export interface PlotProps {
  title: string; // said of the canvas
  height: number;
  stepS: number;
  mids: readonly number[];
  view: readonly [number, number]; // seconds
  y: YAxis;
  lines: readonly Line[];
  under?: (d: Draw) => void;
  over?: (d: Draw) => void;
  times?: boolean; // the axis of time has words
  gutter: number;
  cursor: Cursor;
  version: unknown; // another one: draw again
}

export const RIGHT = 10;

type Latest = { current: PlotProps };

function level(p: Latest): uPlot.Series.PathBuilder {
  return (u, si, i0, i1) => {
    const path = new Path2D();
    const { stepS } = p.current;
    const xs = u.data[0] as number[];
    const ys = u.data[si] as (number | null)[];
    const scale = u.series[si]?.scale ?? 'y';
    let joined = false;
    for (let i = i0; i <= i1; i++) {
      const v = ys[i];
      const x = xs[i];
      if (v === null || v === undefined || x === undefined) {
        joined = false;
        continue;
      }
      const y = u.valToPos(v, scale, true);
      const a = u.valToPos(x - stepS / 2, 'x', true);
      if (joined) path.lineTo(a, y);
      else path.moveTo(a, y);
      path.lineTo(u.valToPos(x + stepS / 2, 'x', true), y);
      joined = true;
    }
    return { stroke: path };
  };
}

function drawer(u: uPlot, c: Colors): Draw {
  return {
    ctx: u.ctx,
    c,
    ratio: devicePixelRatio || 1,
    left: u.bbox.left,
    top: u.bbox.top,
    width: u.bbox.width,
    height: u.bbox.height,
    x: (s) => u.valToPos(s, 'x', true),
    y: (v) => u.valToPos(v, 'y', true),
  };
}

function clipped(u: uPlot, c: Colors, fn: ((d: Draw) => void) | undefined): void {
  if (!fn) return;
  u.ctx.save();
  u.ctx.beginPath();
  u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  u.ctx.clip();
  fn(drawer(u, c));
  u.ctx.restore();
}

function distribution(y: YAxis): uPlot.Scale {
  if (y.kind === 'log') return { distr: 3, log: 10 };
  if (y.kind === 'signed') return { distr: 4, asinh: y.threshold ?? 1e-6 };
  if (y.kind === 'root') return { distr: 100, fwd: (v) => Math.sqrt(Math.max(0, v)), bwd: (v) => v * v };
  return {};
}

/* What a plot is made of; everything else is asked of `latest` when it is drawn, so that new numbers need no new plot. */
function shape(p: PlotProps): string {
  return JSON.stringify([p.height, p.gutter, p.times, p.y.kind, p.y.threshold, p.lines.map((l) => [l.dash, l.width, l.halo, String(l.color)])]);
}

function options(latest: Latest, width: number, c: Colors): uPlot.Options {
  const p = latest.current;
  const series: uPlot.Series[] = [{}];
  for (const l of p.lines) {
    const common = { scale: 'y', paths: level(latest), points: { show: false } };
    if (l.halo) series.push({ ...common, stroke: c.panel, width: (l.width ?? 1.5) + 2.5 });
    series.push({ ...common, stroke: l.color(c), width: l.width ?? 1.5, ...(l.dash ? { dash: l.dash } : {}) });
  }
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { font, stroke: c.dim, grid: { stroke: c.line, width: 1 }, ticks: { show: false } };
  const y = () => latest.current.y;
  return {
    width,
    height: p.height,
    padding: [6, RIGHT, p.times ? 0 : 4, 0],
    legend: { show: false },
    cursor: {
      y: false,
      points: { show: false },
      drag: { x: false, y: false, setScale: false },
      bind: Object.fromEntries(['mousedown', 'mouseup', 'click', 'dblclick', 'mousemove', 'mouseleave', 'mouseenter'].map((k) => [k, () => null])) as uPlot.Cursor.Bind,
    },
    scales: {
      x: { time: false, auto: false, min: p.view[0], max: p.view[1] },
      y: { auto: true, range: () => [y().min, y().max], ...distribution(p.y) },
    },
    axes: [
      {
        ...axis,
        size: p.times ? 26 : 0,
        gap: 4,
        splits: (u) => timeSplits(u.scales.x?.min ?? 0, u.scales.x?.max ?? 1, (u.bbox.width / (devicePixelRatio || 1)) / 84),
        values: (_, splits) => (p.times ? timeLabels(splits) : splits.map(() => '')),
      },
      {
        ...axis,
        size: p.gutter,
        gap: 6,
        splits: () => y().splits(y().min, y().max),
        filter: (_, splits) => splits,
        values: (_, splits) => splits.map((v) => (v === null ? '' : y().label(v))),
      },
    ],
    series,
    hooks: {
      drawAxes: [(u) => clipped(u, c, latest.current.under)],
      draw: [(u) => clipped(u, c, latest.current.over)],
    },
  };
}

function dataOf(p: PlotProps): uPlot.AlignedData {
  const out: (readonly (number | null)[])[] = [p.mids];
  for (const l of p.lines) {
    if (l.halo) out.push(l.values);
    out.push(l.values);
  }
  return out as unknown as uPlot.AlignedData;
}

export function Plot(p: PlotProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(p);
  latest.current = p;
  const drawn = useRef<unknown>(null);
  const [width, setWidth] = useState(0);
  const theme = useThemeVersion();

  useLayoutEffect(() => {
    const el = host.current;
    if (!el) return undefined;
    const measure = () => setWidth(Math.floor(el.clientWidth));
    measure();
    const seen = new ResizeObserver(measure);
    seen.observe(el);
    return () => seen.disconnect();
  }, []);

  useLayoutEffect(() => {
    const el = host.current;
    if (!el || width < 80) return undefined;
    const u = new uPlot(options(latest, width, colors()), dataOf(latest.current), el);
    plot.current = u;
    drawn.current = latest.current.version;
    place(u, latest.current.cursor.ms);
    return () => {
      plot.current = null;
      u.destroy();
    };
  }, [width, theme, shape(p)]);

  useLayoutEffect(() => {
    const u = plot.current;
    if (!u) return;
    if (drawn.current !== p.version) {
      drawn.current = p.version;
      u.batch(() => {
        u.setData(dataOf(p), false);
        u.setScale('x', { min: p.view[0], max: p.view[1] });
        u.setScale('y', { min: p.y.min, max: p.y.max });
      });
      u.redraw(true, true);
    } else u.setScale('x', { min: p.view[0], max: p.view[1] });
    place(u, p.cursor.ms);
  }, [p.version, p.view[0], p.view[1]]);

  useEffect(() => p.cursor.subscribe(() => plot.current && place(plot.current, p.cursor.ms)), [p.cursor]);

  return <div class="plot-canvas" ref={host} style={{ minHeight: p.height }} role="img" aria-label={p.title} />;
}

function place(u: uPlot, ms: number | null): void {
  const left = ms === null ? -10 : u.valToPos(ms / 1000, 'x');
  u.setCursor({ left: left < 0 || left > u.over.clientWidth ? -10 : left, top: ms === null ? -10 : 1 }, false);
}

/* A plot's heading: what the lines mean, and their values where the reader points. */
export function PlotFrame(p: { title: string; words: string; keys?: ComponentChildren; children: ComponentChildren }) {
  return (
    <div class="plot" data-plot={[p.title, p.words].filter(Boolean).join(': ')}>
      {p.title ? (
        <div class="plot-head">
          <h2>{p.title}</h2>
          {p.keys}
        </div>
      ) : null}
      {p.children}
    </div>
  );
}
