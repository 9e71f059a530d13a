/* What the pair's page asks of the API, and when it asks again. */
import { useEffect, useRef } from 'preact/hooks';
import type { Outages, Report } from '../../api/types';
import { useApi, useLive, type Answer } from '../../live/hooks';
import type { Query } from '../../router';
import { moment, zoomText, type Asked } from '../../plot/view';
import type { Completeness, Direction, PairsNow, Series, Timeline } from './types';

export interface Names {
  mesh: string;
  class: string;
  source: string;
  target: string;
}

/* The span as it is asked for. A relative one stays as it stands in the address, so that the question is the same until the reader changes it. */
export function spanQuery(asked: Asked, query: URLSearchParams): Query {
  if (asked.error) return { from: '-1h' };
  if (!asked.zoomed) return { from: query.get('from') || '-1h', to: query.get('to') };
  if (asked.view.live) return { from: zoomText(asked.view) };
  const [from, to] = (query.get('zoom') ?? '').split(',');
  return { from, to };
}

/* Steps for a plot of this width: a few pixels each, and few different numbers, so that pages of about the same size ask the same. */
export function pointsFor(width: number): number {
  return [120, 180, 240, 300, 400, 600].find((n) => n * 3.2 >= width) ?? 600;
}

export interface PairData {
  series: Kept<Series>;
  outages: Kept<Outages>;
  timeline: Kept<Timeline>;
  completeness: Kept<Completeness>;
  report: Kept<Report>;
}

export interface Kept<T> extends Answer<T> {
  data: T | null; // to this question, or while that is on its way, to the one before
  current: boolean; // it is to this question
}

/* Of the same pair, older lines are better than none while newer ones come. */
function useKept<T>(path: string | null, query: Query): Kept<T> {
  const answer = useApi<T>(path, query);
  const last = useRef<T | null>(null);
  if (answer.data) last.current = answer.data;
  if (path === null) last.current = null;
  return { ...answer, data: last.current, current: answer.data !== null };
}

export function usePairData(names: Names | null, span: Query, direction: Direction, flows: boolean, points: number): PairData {
  const base = names ? { ...names, ...span } : {};
  const on = (path: string) => (names && points > 0 ? path : null);
  return {
    series: useKept<Series>(on('series'), { ...base, points, heat: direction, flows: flows || null }),
    outages: useKept<Outages>(on('outages'), { ...base, limit: 1000 }),
    timeline: useKept<Timeline>(on('timeline'), base),
    completeness: useKept<Completeness>(on('completeness'), { ...base, incomplete: true, limit: 5000 }),
    report: useKept<Report>(on('report'), base),
  };
}

export interface BeforeData {
  series: Kept<Series>;
  report: Kept<Report>;
}

/* The same stretch, `shiftMs` earlier; nothing while shiftMs is 0. */
export function useBefore(names: Names | null, grid: { startMs: number; endMs: number } | null, shiftMs: number, points: number): BeforeData {
  const span = names && grid && shiftMs ? { ...names, from: moment(grid.startMs - shiftMs), to: moment(grid.endMs - shiftMs) } : null;
  return {
    series: useKept<Series>(span ? 'series' : null, { ...span, points }),
    report: useKept<Report>(span ? 'report' : null, span ?? {}),
  };
}

export function usePairsNow(source: string | null, target: string | null): Answer<PairsNow> {
  return useApi<PairsNow>(source && target ? 'pairs' : null, { source, target }, 'published');
}

/* A view that ends at now is asked for anew when there is news, but not more often than a step can change. */
export function useRefresh(live: boolean, everyMs: number, reload: () => void): void {
  const published = useLive().versions.published;
  const lastMs = useRef(Date.now());
  useEffect(() => {
    if (!live || Date.now() - lastMs.current < everyMs) return;
    lastMs.current = Date.now();
    reload();
  }, [published]);
}
