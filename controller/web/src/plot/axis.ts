/* Where the lines of axes are, and what stands at them. Times are UTC whatever the browser's zone is. Pure. */
import { percent, seconds } from '../format';

const S = 1;
const MIN = 60;
const H = 3600;
const D = 86400;
/* Seconds between two lines. */
export const TIME_STEPS: readonly number[] = [S, 2, 5, 10, 15, 30, MIN, 2 * MIN, 5 * MIN, 10 * MIN, 15 * MIN, 30 * MIN, H, 2 * H, 3 * H, 6 * H, 12 * H, D, 2 * D, 7 * D, 14 * D, 28 * D, 56 * D, 112 * D];

export function timeSplits(min: number, max: number, most: number): number[] {
  const step = TIME_STEPS.find((s) => (max - min) / s <= Math.max(1, most)) ?? 365 * D;
  const out: number[] = [];
  for (let t = Math.ceil(min / step) * step; t <= max; t += step) out.push(t);
  return out;
}

/* Hours and minutes; seconds where lines are that close; the day where it is midnight, and at the first line. */
export function timeLabels(splits: readonly number[]): string[] {
  const close = splits.some((t) => t % MIN !== 0);
  return splits.map((t, i) => {
    const text = new Date(t * 1000).toISOString();
    const clock = text.slice(11, close ? 19 : 16);
    const day = text.slice(5, 10);
    if (t % D === 0) return day;
    const before = i === 0 ? null : new Date((splits[i - 1] ?? t) * 1000).toISOString().slice(5, 10);
    return before !== null && before !== day ? `${day} ${clock}` : clock;
  });
}

/* 1, 2, 5 of each power of ten, or powers alone where there are many. */
export function logSplits(min: number, max: number): number[] {
  if (!(min > 0) || !(max > min)) return [];
  const low = Math.floor(Math.log10(min));
  const high = Math.ceil(Math.log10(max));
  const of = high - low > 4 ? [1] : high - low > 2 ? [1, 3] : [1, 2, 5];
  const out: number[] = [];
  for (let p = low; p <= high; p++)
    for (const m of of) {
      const v = Number(`${m}e${p}`);
      if (v >= min && v <= max) out.push(v);
    }
  return out.length >= 3 ? out : linearSplits(min, max, 5);
}

export function linearSplits(min: number, max: number, most: number): number[] {
  const rough = (max - min) / Math.max(1, most);
  if (!(rough > 0) || !Number.isFinite(rough)) return [min];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough) ?? 10 * power;
  const out: number[] = [];
  for (let i = Math.ceil(min / step - 1e-9); i * step <= max * (1 + 1e-9); i++) out.push(Number((i * step).toPrecision(12)));
  return out;
}

/* Shares of one on an axis by the square root. */
export function rootSplits(max: number, apart = 0.22): number[] {
  const all = [1, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001];
  const out = [0];
  let free = Math.sqrt(max) + 1;
  for (const v of all)
    if (v <= max && free - Math.sqrt(v) >= apart * Math.sqrt(max) && Math.sqrt(v) >= apart * 0.9 * Math.sqrt(max)) {
      out.push(v);
      free = Math.sqrt(v);
    }
  return out.sort((a, b) => a - b);
}

/* Powers of ten to both sides of 0: for delays of which some are negative, because clocks differ. */
export function signedSplits(min: number, max: number, threshold: number): number[] {
  const out: number[] = [0];
  for (let p = Math.floor(Math.log10(threshold)); p <= 3; p++) {
    const v = Number(`1e${p}`);
    if (v >= threshold && v <= max) out.push(v);
    if (v >= threshold && -v >= min) out.unshift(-v);
  }
  return out;
}

/* "20 ms", not "20.0 ms": at a line the value is round. */
export function delayLabel(v: number): string {
  return seconds(v).replace(/\.0+ /, ' ').replace(/(\.\d*?)0+ /, '$1 ');
}

export function ratioLabel(v: number): string {
  return percent(v).replace(/\.0+%/, '%').replace(/(\.\d*?)0+%/, '$1%');
}

/* The range of delays to show: what there is, with some air, and at least a third of a decade, so that noise does not fill the plot. */
export interface DelayScale {
  kind: 'log' | 'signed';
  min: number;
  max: number;
  threshold: number; // signed: below that it is linear
}
export function delayScale(range: [number, number] | null): DelayScale {
  if (!range) return { kind: 'log', min: 1e-4, max: 1e-1, threshold: 0 };
  const [low, high] = range;
  if (low <= 0) {
    const most = Math.max(Math.abs(low), Math.abs(high), 1e-6);
    return { kind: 'signed', min: low * 1.3, max: high > 0 ? high * 1.3 : most * 0.1, threshold: Math.max(1e-6, 10 ** Math.floor(Math.log10(most) - 2)) };
  }
  const middle = Math.sqrt(low * high);
  const half = Math.max(Math.sqrt(high / low) * 1.15, 1.5);
  return { kind: 'log', min: middle / half, max: middle * half, threshold: 0 };
}
