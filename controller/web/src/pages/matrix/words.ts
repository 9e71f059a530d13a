/* What a cell says in words: the same for the pointer, the keyboard, the screen reader and the table. */
import { percent, plural, seconds, word } from '../../format';
import { FLAG_ALERT, FLAG_MAINTENANCE, FLAG_ONE_WAY_INVALID, isMeasured, RANKS, type Cell, type Line, type MatrixAnswer, type Model, type Sev, type Square, type Val } from './model';

const severities = ['within the levels', 'info', 'warning', 'critical'];

export function severityWord(s: Sev): string {
  return s === null ? 'not judged by a rule' : (severities[s] ?? '');
}

export function value(m: MatrixAnswer, v: Val): string {
  return m.unit === 'ratio' ? percent(v) : seconds(v);
}

export function nodeName(m: MatrixAnswer, i: number): string {
  return m.nodes[i]?.name ?? '?';
}

export function pairName(m: MatrixAnswer, c: Cell): string {
  return `${nodeName(m, c.source)} > ${nodeName(m, c.target)}`;
}

export interface Part {
  way: string;
  text: string;
  sev: Sev;
}

/* Of loss its parts; of delays each way where clocks allow it. */
export function parts(m: MatrixAnswer, c: Cell): Part[] {
  if (!isMeasured(c.state) && c.state !== 'all_lost') return [];
  const out: Part[] = [{ way: m.unit === 'ratio' ? 'in all' : 'round trip', text: value(m, c.roundtrip), sev: c.sevRoundtrip }];
  if (c.forward !== null) out.push({ way: 'forward', text: value(m, c.forward), sev: c.sevForward });
  if (c.backward !== null) out.push({ way: 'backward', text: value(m, c.backward), sev: c.sevBackward });
  if (m.unit === 'ratio' && c.unknown !== null && c.unknown > 0) out.push({ way: 'direction unknown', text: value(m, c.unknown), sev: null });
  return out;
}

export function notes(c: Cell): string[] {
  const out: string[] = [];
  if (c.flags & FLAG_ONE_WAY_INVALID) out.push('one-way delays are not reliable here: the clocks of both ends are not known to agree');
  if (c.flags & FLAG_MAINTENANCE) out.push('maintenance goes on');
  if (c.flags & FLAG_ALERT) out.push('an alert fires');
  return out;
}

/* What is wrong with it, shortly: "20.10% lost forward", "p95 82.0 ms", "no data". */
export function complaint(m: MatrixAnswer, c: Cell): string {
  if (!isMeasured(c.state)) return word(c.state);
  if (m.unit !== 'ratio') return `${m.metric} ${value(m, c.roundtrip)}`;
  const total = c.roundtrip ?? 0;
  const ways: string[] = [];
  if (total > 0 && c.forward !== null && c.forward > total * 0.1) ways.push('forward');
  if (total > 0 && c.backward !== null && c.backward > total * 0.1) ways.push('backward');
  return `${percent(c.roundtrip)} lost${ways.length === 1 ? ` ${ways[0]}` : ways.length === 2 ? ' both ways' : ''}`;
}

export function levelsText(m: MatrixAnswer): string {
  if (!m.levels) return '';
  const of = (name: string, v: number | null | undefined) => (v === null || v === undefined ? [] : [`${name} from ${value(m, v)}`]);
  return [...of('info', m.levels.info), ...of('warning', m.levels.warning), ...of('critical', m.levels.critical)].join(', ');
}

export function describe(model: Model, row: Line, col: Line, q: Square): string {
  const m = model.answer;
  if (q.self) return `${row.label} with itself: nothing to measure`;
  if (!q.worst) return `${row.label} > ${col.label}: not scheduled`;
  if (row.folded || col.folded) {
    const names = `${row.label} > ${col.label}: ${plural(q.cells.length, 'pair')}`;
    return q.wrong ? `${names}, ${q.wrong} wrong, worst ${pairName(m, q.worst)}: ${complaint(m, q.worst)}` : `${names}, nothing wrong`;
  }
  const c = q.worst;
  const said = parts(m, c).map((p) => `${p.way} ${p.text}${p.sev !== null && p.sev > 0 ? ` (${severityWord(p.sev)})` : ''}`);
  return [`${row.label} > ${col.label}: ${word(c.state)}`, ...said, ...notes(c)].join(', ');
}

/* Texts of a large square: [forward, backward], or [the whole]. */
export function inSquare(m: MatrixAnswer, q: Square, ways: string): string[] {
  const c = q.worst;
  if (!c || q.cells.length !== 1 || !isMeasured(c.state)) return [];
  if (ways === 'forward') return [value(m, c.forward)];
  if (ways === 'backward') return [value(m, c.backward)];
  if (ways === 'roundtrip' || (c.forward === null && c.backward === null)) return [value(m, c.roundtrip)];
  return [value(m, c.forward), value(m, c.backward)];
}

export function rankText(rank: number): string {
  return RANKS.find((r) => r.rank === rank)?.text ?? 'ok';
}
export function rankState(rank: number): string {
  return RANKS.find((r) => r.rank === rank)?.state ?? 'ok';
}
