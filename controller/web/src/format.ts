/* Numbers as twampctl prints them (controller/cli/out_num.c): the same value is the same text in the terminal and here. */

export type Num = number | null | undefined;

const UNKNOWN = '-';

/* As printf("%.*f"): a tie goes to the even digit. A double is a tie only if it is an odd number of 2^-(decimals + 1). */
export function fixed(v: number, decimals: number): string {
  const m = Math.abs(v);
  const steps = m * 2 ** (decimals + 1);
  if (Number.isSafeInteger(steps) && steps % 2 === 1) {
    const below = Math.floor(m * 10 ** decimals);
    const even = below % 2 === 0 ? below : below + 1;
    return (v < 0 ? '-' : '') + (even / 10 ** decimals).toFixed(decimals);
  }
  return v.toFixed(decimals);
}

/* Three digits that count: 1.23, 12.3, 123. */
function threeDigits(v: number, unit: string): string {
  const m = Math.abs(v);
  return `${fixed(v, m < 9.995 ? 2 : m < 99.95 ? 1 : 0)} ${unit}`;
}

export function seconds(s: Num): string {
  if (s === null || s === undefined) return UNKNOWN;
  const m = Math.abs(s);
  if (m < 999.5e-6) return `${fixed(s * 1e6, m < 9.95e-6 ? 1 : 0)} us`;
  if (m < 999.5e-3) return threeDigits(s * 1e3, 'ms');
  return threeDigits(s, 's');
}

/* "0%" and "100%" mean exactly that. */
export function percent(ratio: Num): string {
  if (ratio === null || ratio === undefined) return UNKNOWN;
  const p = ratio * 100;
  if (p <= 0 || p >= 100) return `${fixed(p, 0)}%`;
  if (p < 0.01) return '<0.01%';
  return `${fixed(Math.min(p, 99.99), 2)}%`;
}

export function si(v: Num, unit: string): string {
  if (v === null || v === undefined) return UNKNOWN;
  const prefixes = ['', 'k', 'M', 'G', 'T', 'P'];
  let i = 0;
  for (; Math.abs(v) >= 999.5 && i + 1 < prefixes.length; i++) v /= 1000;
  const full = prefixes[i] + unit;
  return i === 0 && Number.isInteger(v) ? `${v} ${full}` : threeDigits(v, full);
}

export function count(n: Num): string {
  return n === null || n === undefined ? UNKNOWN : String(n);
}

/* A span of time, coarser the longer it is: 119 s, 119 min, 47 h, 3 d. */
export function span(ms: Num): string {
  if (ms === null || ms === undefined) return UNKNOWN;
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 120) return `${s} s`;
  if (s < 120 * 60) return `${Math.floor(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}

export function ago(then: string | number | null | undefined, now: number): string {
  const at = millis(then);
  return at === null ? UNKNOWN : span(now - at);
}

/* A moment of the API (RFC 3339, or "never" as null) in milliseconds. */
export function millis(t: string | number | null | undefined): number | null {
  if (t === null || t === undefined || t === '') return null;
  const ms = typeof t === 'number' ? t : Date.parse(t);
  return Number.isFinite(ms) && ms > 0 ? ms : null;
}

/* 2026-11-27T12:00:00Z, without milliseconds. */
export function time(t: string | number | null | undefined): string {
  const ms = millis(t);
  return ms === null ? UNKNOWN : `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/* 12:00:00Z today, with the date otherwise. */
export function clock(t: string | number | null | undefined, now: number): string {
  const ms = millis(t);
  if (ms === null) return UNKNOWN;
  const text = new Date(ms).toISOString();
  const day = text.slice(0, 10) === new Date(now).toISOString().slice(0, 10);
  return day ? `${text.slice(11, 19)}Z` : `${text.slice(0, 10)} ${text.slice(11, 16)}Z`;
}

/* all_lost -> all lost */
export function word(w: string): string {
  return w.replace(/_/g, ' ');
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}
