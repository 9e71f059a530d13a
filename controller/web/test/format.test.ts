/* twampctl's own table of cases (tests/unit/cli/test_out.c) is asked of this page, too: the same value, the same text. */
import { describe, expect, it } from 'vitest';
import source from '../../../tests/unit/cli/test_out.c?raw';
import { ago, clock, fixed, millis, percent, seconds, si, span, time } from '../src/format';

function cases(function_name: string): [number, string][] {
  const body = source.slice(source.indexOf(`static void ${function_name}(`));
  const table = body.slice(body.indexOf('cases[] = {'), body.indexOf('};\n    char buf'));
  return [...table.matchAll(/\{\s*(-?[0-9.e-]+),\s*"([^"]*)"\s*\}/g)].map((m) => [Number(m[1]), m[2] ?? '']);
}

describe('numbers as twampctl prints them', () => {
  const delays = cases('seconds_adapt');
  const ratios = cases('percents_are_honest');
  it('finds the cases', () => {
    expect(delays.length).toBeGreaterThanOrEqual(14);
    expect(ratios.length).toBeGreaterThanOrEqual(7);
  });
  it.each(delays)('%d s', (value, text) => expect(seconds(value)).toBe(text));
  it.each(ratios)('ratio %d', (value, text) => expect(percent(value)).toBe(text));
  it('tells unknown from zero', () => {
    expect([seconds(null), percent(undefined), si(null, 'B'), span(null)]).toEqual(['-', '-', '-', '-']);
    expect([seconds(0), percent(0)]).toEqual(['0.0 us', '0%']);
  });
  it('counts in prefixes', () => {
    expect(si(615999, 'bit/s')).toBe('616 kbit/s');
    expect(si(12, 'B')).toBe('12 B');
    expect(si(2.8e9, 'B')).toBe('2.80 GB');
    expect(si(999999, 'B')).toBe('1.00 MB');
  });
});

describe('rounding as printf does it', () => {
  it.each([
    [0.5, 0, '0'],
    [1.5, 0, '2'],
    [2.5, 0, '2'],
    [-2.5, 0, '-2'],
    [0.125, 2, '0.12'],
    [0.375, 2, '0.38'],
    [1.25, 1, '1.2'],
    [0.15, 1, '0.1'], // below the tie as a double
    [99.995, 2, '100.00'],
  ])('%d to %d digits', (value, digits, text) => expect(fixed(value, digits)).toBe(text));
});

describe('times', () => {
  const now = Date.parse('2026-11-27T12:00:00Z');
  it('prints ages with one unit', () => {
    expect(ago('2026-11-27T11:58:01Z', now)).toBe('119 s');
    expect(ago('2026-11-27T11:58:00Z', now)).toBe('2 min');
    expect(ago('2026-11-27T10:00:00Z', now)).toBe('2 h');
    expect(ago('2026-11-25T12:00:00Z', now)).toBe('2 d');
    expect(ago('2026-11-27T12:00:05Z', now)).toBe('0 s');
    expect(ago(null, now)).toBe('-');
  });
  it('leaves the day out of today', () => {
    expect(clock('2026-11-27T11:58:01.123Z', now)).toBe('11:58:01Z');
    expect(clock('2026-11-26T11:58:01Z', now)).toBe('2026-11-26 11:58Z');
    expect(time('2023-11-14T22:13:20.999Z')).toBe('2023-11-14T22:13:20Z');
    expect(millis('nonsense')).toBeNull();
  });
});
