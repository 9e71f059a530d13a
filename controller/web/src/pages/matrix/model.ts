/* The matrix as numbers: what the API said, and what of it is shown in which row and column. Pure; the drawing is in draw.ts. */

export type Metric = 'loss' | 'p50' | 'p95' | 'p99' | 'jitter';
export const METRICS: readonly (readonly [Metric, string])[] = [
  ['loss', 'loss'],
  ['p50', 'delay, p50'],
  ['p95', 'delay, p95'],
  ['p99', 'delay, p99'],
  ['jitter', 'jitter'],
];

/* source, target, state, severity, forward, backward, roundtrip, unknown, severities of the three, flags */
export type CellTuple = [number, number, string, Sev, Val, Val, Val, Val, Sev, Sev, Sev, number];
export type Sev = 0 | 1 | 2 | 3 | null;
export type Val = number | null;

export const FLAG_ONE_WAY_INVALID = 1;
export const FLAG_MAINTENANCE = 2;
export const FLAG_ALERT = 4;

export interface MatrixAnswer {
  at: string | null;
  age_s: number | null;
  live: boolean;
  mesh: string;
  class: string;
  metric: Metric;
  unit: 's' | 'ratio';
  levels: { info?: number | null; warning?: number | null; critical?: number | null } | null;
  choices: { mesh: string; classes: string[] }[];
  nodes: { name: string; labels: Record<string, string>; state: string }[];
  cells: CellTuple[];
}

export interface Cell {
  source: number;
  target: number;
  state: string;
  forward: Val;
  backward: Val;
  roundtrip: Val;
  unknown: Val;
  sev: Sev; // of the pair
  sevForward: Sev;
  sevBackward: Sev;
  sevRoundtrip: Sev;
  flags: number;
  rank: number;
}

/* How bad, worst first; a cell's rank. What is 0 is nobody's concern. */
export const RANKS = [
  { rank: 7, key: 'all_lost', state: 'all_lost', text: 'all lost' },
  { rank: 6, key: 'critical', state: 'critical', text: 'critical' },
  { rank: 5, key: 'agent_down', state: 'agent_down', text: 'agent down' },
  { rank: 4, key: 'cannot', state: 'refused', text: 'cannot send' },
  { rank: 3, key: 'warning', state: 'warning', text: 'warning' },
  { rank: 2, key: 'no_data', state: 'no_data', text: 'no data' },
  { rank: 1, key: 'info', state: 'partial', text: 'some loss, no rule for it' },
] as const;

const stateRanks: Record<string, number> = {
  all_lost: 7,
  agent_down: 5,
  send_error: 4,
  name_error: 4,
  refused: 4,
  no_data: 2,
  not_run: 2,
};
/* Nothing is measured in these, and nobody expects it. */
const RESTING = new Set(['paused', 'idle', 'elsewhere', 'drained', 'not_scheduled']);

export function isMeasured(state: string): boolean {
  return state === 'ok' || state === 'partial';
}

export function rankOf(state: string, sev: Sev, loss: Val): number {
  if (RESTING.has(state)) return 0;
  const byState = stateRanks[state] ?? 0;
  const bySev = sev === 3 ? 6 : sev === 2 ? 3 : sev === 1 ? 1 : 0;
  const unjudged = sev === null && loss !== null && loss > 0 ? 1 : 0;
  return Math.max(byState, bySev, unjudged);
}

/* A rule on the loss of both ways together judges the pair; which half is to blame follows from the same levels. A level of a round trip
 * says nothing about one way, so halves of delays are judged by rules of their own only. */
export function judge(v: Val, levels: MatrixAnswer['levels']): Sev {
  if (v === null || !levels) return null;
  const { info, warning, critical } = levels;
  if (critical !== null && critical !== undefined && v >= critical) return 3;
  if (warning !== null && warning !== undefined && v >= warning) return 2;
  if (info !== null && info !== undefined && v >= info) return 1;
  return 0;
}

function half(v: Val, own: Sev, whole: Sev, m: MatrixAnswer): Sev {
  if (own !== null || v === null || m.unit !== 'ratio' || whole === null) return own;
  if (v === 0) return 0;
  const by = judge(v, m.levels);
  return by === null || by > whole ? whole : by;
}

export function toCell(c: CellTuple, m: MatrixAnswer): Cell {
  const [source, target, state, sev, forward, backward, roundtrip, unknown, f, b, r, flags] = c;
  const measured = isMeasured(state) || state === 'all_lost';
  return {
    source,
    target,
    state,
    forward,
    backward,
    roundtrip,
    unknown,
    sev,
    sevForward: measured ? half(forward, f, r, m) : null,
    sevBackward: measured ? half(backward, b, r, m) : null,
    sevRoundtrip: r,
    flags,
    rank: rankOf(state, sev, m.unit === 'ratio' ? roundtrip : null),
  };
}

/* Whether it is anybody's concern now. */
export function isWrong(c: Cell): boolean {
  return c.rank > 0 && !(c.flags & FLAG_MAINTENANCE);
}

export interface Model {
  answer: MatrixAnswer;
  cells: Cell[];
  at: Map<number, Cell>; // by source * nodes + target
  shades: number[]; // bounds between the five shades of values that no rule judges
}

export function build(answer: MatrixAnswer): Model {
  const n = answer.nodes.length;
  const cells = answer.cells.map((c) => toCell(c, answer));
  const at = new Map<number, Cell>();
  for (const c of cells) at.set(c.source * n + c.target, c);
  return { answer, cells, at, shades: shadeBounds(cells) };
}

/* Bounds that part the round trips into five equal parts of what there is, so that a shade means "more than most". */
function shadeBounds(cells: readonly Cell[]): number[] {
  const v = cells.flatMap((c) => (c.roundtrip !== null && isMeasured(c.state) ? [c.roundtrip] : [])).sort((a, b) => a - b);
  if (v.length === 0) return [];
  return [0.5, 0.75, 0.9, 0.97].map((q) => v[Math.min(v.length - 1, Math.floor(q * v.length))] ?? 0);
}

export function shadeOf(v: number, bounds: readonly number[], factor = 1): number {
  let i = 0;
  for (const b of bounds) if (v * factor > b) i++;
  return i;
}

/* ---- rows and columns ---- */

export interface Line {
  key: string;
  label: string;
  nodes: number[];
  group: string | null; // null: not grouped
  folded: boolean;
}

export interface Shape {
  group: string; // key of a label; "" for none
  fold: (group: string) => boolean;
  find: string;
  onlyWrong: boolean;
}

export const NO_LABEL = '(none)';

export function labelKeys(m: MatrixAnswer): string[] {
  const keys = new Set<string>();
  for (const n of m.nodes) for (const k of Object.keys(n.labels)) keys.add(k);
  return [...keys].sort();
}

export function groupOf(m: MatrixAnswer, node: number, key: string): string {
  return m.nodes[node]?.labels[key] ?? NO_LABEL;
}

export function groups(m: MatrixAnswer, key: string): string[] {
  if (!key) return [];
  return [...new Set(m.nodes.map((_, i) => groupOf(m, i, key)))].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

/* By name, or by a label: "ams" or "site=ams". */
export function matches(m: MatrixAnswer, node: number, find: string): boolean {
  const n = m.nodes[node];
  if (!n) return false;
  return find
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((w) => n.name.toLowerCase().includes(w) || Object.entries(n.labels).some(([k, v]) => `${k}=${v}`.toLowerCase().includes(w)));
}

function lines(m: MatrixAnswer, used: readonly number[], shape: Shape): Line[] {
  const name = (i: number) => m.nodes[i]?.name ?? '';
  const sorted = [...used].sort((a, b) => name(a).localeCompare(name(b), 'en', { numeric: true }));
  if (!shape.group) return sorted.map((i) => ({ key: name(i), label: name(i), nodes: [i], group: null, folded: false }));
  const out: Line[] = [];
  for (const g of groups(m, shape.group)) {
    const members = sorted.filter((i) => groupOf(m, i, shape.group) === g);
    if (members.length === 0) continue;
    if (shape.fold(g)) out.push({ key: `=${g}`, label: `${g} (${members.length})`, nodes: members, group: g, folded: true });
    else for (const i of members) out.push({ key: name(i), label: name(i), nodes: [i], group: g, folded: false });
  }
  return out;
}

export interface View {
  model: Model;
  rows: Line[];
  cols: Line[];
}

export function view(model: Model, shape: Shape): View {
  const m = model.answer;
  const find = shape.find.trim();
  const sources = new Set<number>();
  const targets = new Set<number>();
  for (const c of model.cells) {
    if (shape.onlyWrong && !isWrong(c)) continue;
    if (find && !matches(m, c.source, find) && !matches(m, c.target, find)) continue;
    sources.add(c.source);
    targets.add(c.target);
  }
  return { model, rows: lines(m, [...sources], shape), cols: lines(m, [...targets], shape) };
}

/* What a square of the grid stands for: one pair, or all pairs between two groups with the worst of them. */
export interface Square {
  cells: Cell[];
  worst: Cell | null; // null: nothing is scheduled here
  wrong: number;
  self: boolean; // a node with itself
  sevForward: Sev;
  sevBackward: Sev;
}

function max(a: Sev, b: Sev): Sev {
  if (a === null) return b;
  return b === null || a >= b ? a : b;
}

function worse(a: Cell, b: Cell): boolean {
  const quiet = (c: Cell) => (c.flags & FLAG_MAINTENANCE ? 0 : 1);
  if (quiet(a) !== quiet(b)) return quiet(a) > quiet(b);
  return a.rank !== b.rank ? a.rank > b.rank : (a.roundtrip ?? -1) > (b.roundtrip ?? -1);
}

export function square(v: View, row: Line, col: Line): Square {
  const n = v.model.answer.nodes.length;
  const out: Square = { cells: [], worst: null, wrong: 0, self: row.nodes.length === 1 && col.nodes.length === 1 && row.nodes[0] === col.nodes[0], sevForward: null, sevBackward: null };
  for (const s of row.nodes)
    for (const t of col.nodes) {
      const c = v.model.at.get(s * n + t);
      if (!c) continue;
      out.cells.push(c);
      if (isWrong(c)) out.wrong++;
      if (!out.worst || worse(c, out.worst)) out.worst = c;
      out.sevForward = max(out.sevForward, c.sevForward);
      out.sevBackward = max(out.sevBackward, c.sevBackward);
    }
  return out;
}

/* ---- the line on top, and the list of what is wrong ---- */

export interface Summary {
  pairs: number;
  measured: number; // of them: with numbers, and nothing wrong
  counts: { key: string; state: string; text: string; n: number }[]; // worst first
  maintenance: number;
  resting: number;
}

export function summarise(model: Model): Summary {
  const counts = RANKS.map((r) => ({ key: r.key, state: r.state, text: r.text, n: 0, rank: r.rank }));
  let maintenance = 0;
  let resting = 0;
  let measured = 0;
  for (const c of model.cells) {
    if (RESTING.has(c.state)) resting++;
    else if (c.rank > 0 && c.flags & FLAG_MAINTENANCE) maintenance++;
    else if (c.rank === 0) measured++;
    else {
      const at = counts.find((x) => x.rank === c.rank);
      if (at) at.n++;
    }
  }
  return { pairs: model.cells.length, measured, counts: counts.filter((c) => c.n > 0), maintenance, resting };
}

export interface Trouble {
  key: string;
  rank: number;
  cell: Cell; // the pair, or one of them
  agent: string | null; // an agent that is down, and all of its pairs with it
  pairs: number;
}

/* Worst first; the pairs of an agent that is down are one entry. */
export function troubles(model: Model): Trouble[] {
  const out: Trouble[] = [];
  const down = new Map<number, Trouble>();
  const n = model.answer.nodes.length;
  for (const c of model.cells) {
    if (!isWrong(c)) continue;
    const known = c.state === 'agent_down' ? down.get(c.source) : undefined;
    if (known) {
      known.pairs++;
      continue;
    }
    const t: Trouble = { key: `${c.source * n + c.target}`, rank: c.rank, cell: c, agent: c.state === 'agent_down' ? (model.answer.nodes[c.source]?.name ?? '') : null, pairs: 1 };
    if (c.state === 'agent_down') down.set(c.source, t);
    out.push(t);
  }
  return out.sort((a, b) => b.rank - a.rank || (b.cell.roundtrip ?? 0) - (a.cell.roundtrip ?? 0) || Number(a.key) - Number(b.key));
}
