/* What a report is asked for: from the address to the API's parameters. */
import type { Query } from '../../router';
import { duration } from '../ops/text';

export const views = [
  ['', 'Pairs and groups'],
  ['top', 'The worst'],
  ['compare', 'Compare'],
  ['sla', 'Objectives'],
] as const;

const names = ['mesh', 'class', 'source', 'target', 'select', 'target_select'] as const;

/* "-1d" as milliseconds, of a span that begins so long before now. */
export function back(text: string): number | null {
  return text.startsWith('-') ? duration(text.slice(1)) : null;
}

/* The span before the one that is shown, or the same one so long ago: as texts that the API takes. */
export function before(from: string, to: string, earlier: string): { before_from: string; before_to: string } {
  const shift = duration(earlier);
  const begin = back(from) ?? (to === '' ? null : Date.parse(to) - Date.parse(from));
  if (earlier !== '' && shift === null) throw new Error(`expected a time such as 7d; got "${earlier}"`);
  const b = back(from);
  if (b !== null) {
    const end = to === '' ? 0 : back(to);
    if (end === null) throw new Error('expected both ends of the span as moments, or both as times before now');
    const by = shift ?? b - end;
    return { before_from: `-${Math.round((b + by) / 1000)}s`, before_to: `-${Math.round((end + by) / 1000)}s` };
  }
  const start = Date.parse(from);
  if (!Number.isFinite(start) || begin === null || !Number.isFinite(begin)) throw new Error('expected both ends of the span as moments, or both as times before now');
  const by = shift ?? begin;
  return { before_from: new Date(start - by).toISOString(), before_to: new Date(start + begin - by).toISOString() };
}

export function objectives(q: URLSearchParams): string {
  const own = q.get('objectives');
  if (own) return own;
  const terms = ['availability', 'loss', 'p95', 'p99'].flatMap((k) => (q.get(`goal.${k}`) ? [`${k}: ${q.get(`goal.${k}`)}`] : []));
  return terms.length ? `{${terms.join(', ')}}` : '';
}

/* Throws what was expected where the address cannot be asked. */
export function apiQuery(view: string, q: URLSearchParams, limit: number): Query {
  const from = q.get('from') ?? '';
  const to = q.get('to') ?? '';
  const base: Query = Object.fromEntries(names.map((n) => [n, q.get(n)]));
  if (view === 'sla') return { ...base, from, to, objectives: objectives(q), skip: q.get('skip'), limit: null };
  const by = q.get('by') ?? '';
  const shape: Query = { ...base, from: from || '-1h', to, by: by === 'pair' ? '' : by };
  if (view === 'top') return { ...shape, sort: q.get('worst') ?? 'loss_ratio', top: q.get('top') ?? '10' };
  if (view === 'compare') return { ...shape, ...before(from || '-1h', to, q.get('back') ?? ''), limit };
  return { ...shape, limit };
}
