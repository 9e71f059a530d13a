/* What people type into forms, and what it means: the same words as in twampctl. */
import { millis, time } from '../../format';

const units: Record<string, number> = { ns: 1e-6, us: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/* "90m", "1.5h", "1h30m" in milliseconds; null if it is no duration. */
export function duration(text: string): number | null {
  const t = text.trim();
  if (!/^(\d+(\.\d+)?(ns|us|ms|s|m|h|d))+$/.test(t)) return null;
  let ms = 0;
  for (const [, n, , unit] of t.matchAll(/(\d+(\.\d+)?)(ns|us|ms|s|m|h|d)/g)) ms += Number(n) * (units[unit!] ?? 0);
  return ms;
}

/* A moment to come: so long from now, or RFC 3339. Throws what was expected. */
export function until(text: string, now: number): string {
  const d = duration(text.replace(/^\+/, ''));
  const at = d !== null ? now + d : /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text.trim()) ? millis(text.trim()) : null;
  if (at === null) throw new Error(`expected a time such as 2h or 2026-12-01T08:00:00Z; got "${text}"`);
  return new Date(at).toISOString();
}

export function untilInWords(text: string, now: number): string {
  try {
    return `until ${time(until(text, now))}`;
  } catch (e) {
    return (e as Error).message;
  }
}

export function nanos(text: string): string {
  const ms = duration(text);
  if (ms === null || ms <= 0) throw new Error(`expected a time with its unit, such as 500ms, 10s or 2m; got "${text}"`);
  return String(BigInt(Math.round(ms * 1e6)));
}

/* "site=ams role- tier=1": labels to set and to take off, as `twampctl agent label` takes them. */
export function labelChange(text: string): { set_labels: { key: string; value: string }[]; remove_labels: string[] } {
  const change = { set_labels: [] as { key: string; value: string }[], remove_labels: [] as string[] };
  for (const word of text.split(/[\s,]+/).filter(Boolean)) {
    const at = word.indexOf('=');
    if (at > 0 && at < word.length - 1) change.set_labels.push({ key: word.slice(0, at), value: word.slice(at + 1) });
    else if (at < 0 && word.length > 1 && word.endsWith('-')) change.remove_labels.push(word.slice(0, -1));
    else throw new Error(`expected KEY=VALUE, or KEY- to take one off; got "${word}"`);
  }
  if (!change.set_labels.length && !change.remove_labels.length) throw new Error('expected at least one KEY=VALUE, or KEY-');
  return change;
}

/* A fingerprint in groups of four, so that two people can compare it. */
export function inGroups(hex: string): string {
  return hex.replace(/(.{4})(?=.)/g, '$1 ');
}

/* Whole nanoseconds as a span of time: 1500000000 -> 1.5s, as documents write it. */
export function nsText(ns: number | null): string {
  if (ns === null || !(ns > 0)) return '-';
  for (const [unit, size] of [['d', 86400e9], ['h', 3600e9], ['m', 60e9], ['s', 1e9], ['ms', 1e6], ['us', 1e3]] as const)
    if (ns >= size) return `${Number((ns / size).toFixed(2))}${unit}`;
  return `${ns}ns`;
}
