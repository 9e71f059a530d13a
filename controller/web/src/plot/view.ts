/* What stretch of time is shown. The span (from, to) is what the reader chose, the zoom a part of it or beside it; both stand in the address.
 * What ends at now is live: it is kept as a length, and moves on with the controller's clock. Pure. */

export const LEAST_MS = 20_000; // two report periods of 10 s: closer than that there is nothing more to see
export const MOST_MS = 400 * 86400_000;

export interface View {
  fromMs: number;
  toMs: number;
  live: boolean; // it ends at now
}

const UNITS: Record<string, number> = { s: 1000, m: 60_000, min: 60_000, h: 3600_000, d: 86400_000, w: 7 * 86400_000 };

/* "-15m", "-1h30m": a duration before now, in milliseconds; null where it is none. */
export function parseBefore(text: string): number | null {
  if (!/^-(\d+(\.\d+)?(s|min|m|h|d|w))+$/.test(text)) return null;
  let ms = 0;
  for (const [, n, unit] of text.matchAll(/(\d+(?:\.\d+)?)(s|min|m|h|d|w)/g)) ms += Number(n) * (UNITS[unit ?? ''] ?? 0);
  return ms > 0 ? ms : null;
}

export function parseMoment(text: string | null, nowMs: number): number | null {
  if (!text) return null;
  const before = parseBefore(text);
  if (before !== null) return nowMs - before;
  const ms = /^\d{9,11}$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  return Number.isFinite(ms) ? ms : null;
}

export const DEFAULT_FROM = '-1h';

export interface Asked {
  span: View;
  view: View; // the zoom, or the span
  zoomed: boolean;
  error: string | null; // what of the address makes no sense, and what was expected
}

export function viewOf(query: URLSearchParams, nowMs: number): Asked {
  const fromText = query.get('from') || DEFAULT_FROM;
  const toText = query.get('to');
  const from = parseMoment(fromText, nowMs);
  const to = toText ? parseMoment(toText, nowMs) : nowMs;
  const fallback = { fromMs: nowMs - 3600_000, toMs: nowMs, live: true };
  if (from === null || to === null || to - from < 1000)
    return { span: fallback, view: fallback, zoomed: false, error: `from=${fromText}${toText ? `&to=${toText}` : ''} is no span: expected times such as -6h or 2026-11-27T12:00:00Z, and from before to` };
  const span = { fromMs: from, toMs: to, live: !toText };
  const zoom = query.get('zoom');
  if (!zoom) return { span, view: span, zoomed: false, error: null };
  const view = zoomOf(zoom, nowMs);
  if (!view) return { span, view: span, zoomed: false, error: `zoom=${zoom} is no span: expected two times with a comma between, or a duration such as -10m` };
  return { span, view, zoomed: true, error: null };
}

function zoomOf(text: string, nowMs: number): View | null {
  const before = parseBefore(text);
  if (before !== null) return { fromMs: nowMs - before, toMs: nowMs, live: true };
  const [a, b, more] = text.split(',');
  const from = parseMoment(a ?? null, nowMs);
  const to = parseMoment(b ?? null, nowMs);
  return from === null || to === null || more !== undefined || to - from < 1000 ? null : { fromMs: from, toMs: to, live: false };
}

export function moment(ms: number): string {
  const text = new Date(Math.round(ms)).toISOString();
  return text.endsWith('.000Z') ? `${text.slice(0, 19)}Z` : text;
}

/* As it stands in the address: whole seconds. */
export function zoomText(v: View): string {
  if (v.live) return `-${Math.max(1, Math.round((v.toMs - v.fromMs) / 1000))}s`;
  const from = Math.floor(v.fromMs / 1000) * 1000;
  return `${moment(from)},${moment(Math.max(from + 1000, Math.ceil(v.toMs / 1000) * 1000))}`;
}

/* Keeps a view within what can be: not beyond now, not closer than LEAST_MS. At the right edge it is live again. */
export function clamp(fromMs: number, toMs: number, nowMs: number): View {
  let length = Math.min(MOST_MS, Math.max(LEAST_MS, toMs - fromMs));
  const middle = (fromMs + toMs) / 2;
  let from = toMs - fromMs === length ? fromMs : middle - length / 2;
  const live = from + length >= nowMs - Math.min(5000, length / 20);
  if (live) from = nowMs - length;
  if (from < 0) {
    length = Math.min(length, nowMs);
    from = 0;
  }
  return { fromMs: from, toMs: from + length, live };
}

/* factor below 1 comes closer; the moment `at` stays where it is. */
export function zoomBy(v: View, factor: number, atMs: number, nowMs: number): View {
  const length = Math.min(MOST_MS, Math.max(LEAST_MS, (v.toMs - v.fromMs) * factor));
  const share = (atMs - v.fromMs) / (v.toMs - v.fromMs || 1);
  const from = atMs - share * length;
  return clamp(from, from + length, nowMs);
}

export function panBy(v: View, byMs: number, nowMs: number): View {
  return clamp(v.fromMs + byMs, v.toMs + byMs, nowMs);
}

export function sameView(a: View, b: View): boolean {
  return a.live === b.live && (a.live ? a.toMs - a.fromMs === b.toMs - b.fromMs : a.fromMs === b.fromMs && a.toMs === b.toMs);
}
