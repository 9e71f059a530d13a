/* What differs between two texts, by lines: the least changes (Myers), with a few lines around them. */
export interface Line {
  kind: 'same' | 'add' | 'del' | 'gap';
  text: string;
}

const AROUND = 3;
const MOST_CHANGES = 2000; // of more the whole text counts as changed

function lines(text: string): string[] {
  const all = text.split('\n');
  if (all[all.length - 1] === '') all.pop();
  return all;
}

/* For each number of changes the furthest line of `a` on each diagonal; the way back through them is the answer. */
function trace(a: readonly string[], b: readonly string[]): Map<number, number>[] | null {
  const rounds: Map<number, number>[] = [];
  let v = new Map<number, number>([[1, 0]]);
  for (let d = 0; d <= Math.min(a.length + b.length, MOST_CHANGES); d++) {
    rounds.push(new Map(v));
    const next = new Map(v);
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (v.get(k - 1) ?? -1) < (v.get(k + 1) ?? -1));
      let x = down ? (v.get(k + 1) ?? 0) : (v.get(k - 1) ?? 0) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      next.set(k, x);
      if (x >= a.length && x - k >= b.length) return rounds;
    }
    v = next;
  }
  return null;
}

function changes(a: readonly string[], b: readonly string[]): Line[] {
  const rounds = trace(a, b);
  if (!rounds) return [...a.map((text): Line => ({ kind: 'del', text })), ...b.map((text): Line => ({ kind: 'add', text }))];
  const out: Line[] = [];
  let x = a.length;
  let y = b.length;
  for (let d = rounds.length - 1; d >= 0; d--) {
    const v = rounds[d]!;
    const k = x - y;
    const down = k === -d || (k !== d && (v.get(k - 1) ?? -1) < (v.get(k + 1) ?? -1));
    const fromK = down ? k + 1 : k - 1;
    const fromX = d === 0 ? 0 : (v.get(fromK) ?? 0);
    const fromY = d === 0 ? 0 : fromX - fromK;
    while (x > fromX && y > fromY) {
      out.push({ kind: 'same', text: a[--x]! });
      y--;
    }
    if (d > 0) out.push(down ? { kind: 'add', text: b[--y]! } : { kind: 'del', text: a[--x]! });
  }
  return out.reverse();
}

/* Empty: nothing differs. */
export function diff(before: string, after: string): Line[] {
  const all = changes(lines(before), lines(after));
  const near = new Set<number>();
  all.forEach((l, i) => {
    if (l.kind !== 'same') for (let j = i - AROUND; j <= i + AROUND; j++) near.add(j);
  });
  const out: Line[] = [];
  all.forEach((l, i) => {
    if (near.has(i)) out.push(l);
    else if (near.size && out[out.length - 1]?.kind !== 'gap') out.push({ kind: 'gap', text: '...' });
  });
  return out;
}

/* The controller's own diffs: lines with "-", "+" or " " before them, "@@" or "..." between. */
export function parsed(text: string): Line[] {
  return lines(text).map((l) =>
    l.startsWith('+') ? { kind: 'add', text: l.slice(1) } : l.startsWith('-') ? { kind: 'del', text: l.slice(1) } : l.startsWith(' ') ? { kind: 'same', text: l.slice(1) } : { kind: 'gap', text: l },
  );
}
