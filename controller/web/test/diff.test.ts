import { describe, expect, it } from 'vitest';
import { diff, parsed, type Line } from '../src/pages/schedule/diff';

const short = (lines: Line[]) => lines.map((l) => ({ same: ' ', add: '+', del: '-', gap: '@' })[l.kind] + l.text);

describe('diff', () => {
  for (const [name, a, b, want] of [
    ['nothing', 'a\nb\n', 'a\nb\n', []],
    ['from nothing', '', 'a\nb\n', ['+a', '+b']],
    ['to nothing', 'a\n', '', ['-a']],
    ['a line in the middle', 'a\nb\nc\n', 'a\nx\nc\n', [' a', '-b', '+x', ' c']],
    ['a line more', 'a\nc\n', 'a\nb\nc\n', [' a', '+b', ' c']],
    ['a line less', 'a\nb\nc\n', 'a\nc\n', [' a', '-b', ' c']],
    ['the newline at the end does not count', 'a', 'a\n', []],
    ['far apart', '1\n2\n3\n4\n5\n6\n7\n8\n9\n', '0\n2\n3\n4\n5\n6\n7\n8\n0\n', ['-1', '+0', ' 2', ' 3', ' 4', '@...', ' 6', ' 7', ' 8', '-9', '+0']],
  ] as [string, string, string, string[]][])
    it(name, () => expect(short(diff(a, b))).toEqual(want));

  it('gives both texts back, whatever they are', () => {
    let seed = 7;
    const rnd = (n: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
    for (let i = 0; i < 300; i++) {
      const text = () => Array.from({ length: rnd(9) }, () => 'abc'[rnd(3)]).join('\n');
      const [a, b] = [text(), text()];
      const d = diff(a, b);
      if (d.length === 0) expect(a).toBe(b);
      if (d.some((l) => l.kind === 'gap')) continue;
      if (d.length) {
        expect(d.filter((l) => l.kind !== 'add').map((l) => l.text)).toEqual(a ? a.split('\n') : []);
        expect(d.filter((l) => l.kind !== 'del').map((l) => l.text)).toEqual(b ? b.split('\n') : []);
      }
    }
  });

  it('reads the diffs of the controller', () => expect(short(parsed('@@ -1 +1 @@\n a\n-b\n+c\n'))).toEqual(['@@@ -1 +1 @@', ' a', '-b', '+c']));
});
