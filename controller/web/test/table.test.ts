import { describe, expect, it } from 'vitest';
import { compare } from '../src/ui/Table';

describe('sorting', () => {
  const sorted = (v: (number | string | null)[], down: boolean) => [...v].sort((a, b) => compare(a, b, down));
  it('keeps what is unknown at the end, whichever way', () => {
    expect(sorted([3, null, 1, 2], false)).toEqual([1, 2, 3, null]);
    expect(sorted([3, null, 1, 2], true)).toEqual([3, 2, 1, null]);
  });
  it('counts digits in names', () => {
    expect(sorted(['host10', 'host9', 'host1'], false)).toEqual(['host1', 'host9', 'host10']);
  });
});
