/* Draws squares of the grid. Each distinct one is drawn once into a sprite and copied from there: a mesh of 40,000 pairs has a
 * few dozen distinct squares. Measured in Chromium 156 against SVG and DOM cells: docs/dashboard.md. */
import { FLAG_ALERT, FLAG_MAINTENANCE, FLAG_ONE_WAY_INVALID, isMeasured, isWrong, shadeOf, type Cell, type Line, type Model, type Sev, type Square, type Val } from './model';

export type Ways = 'both' | 'roundtrip' | 'forward' | 'backward';

/* Custom properties of style.css, read once for each theme. */
const NAMES = {
  ok: '--ok-fill',
  info: '--info-fill',
  warning: '--warning-fill',
  critical: '--critical-fill',
  unknown: '--unknown-fill',
  off: '--off-fill',
  none: '--none-fill',
  shade0: '--shade-0',
  shade1: '--shade-1',
  shade2: '--shade-2',
  shade3: '--shade-3',
  shade4: '--shade-4',
  line: '--line',
  strong: '--line-strong',
  text: '--text',
  dim: '--dim',
  panel: '--panel',
  raised: '--raised',
  bg: '--bg',
  focus: '--focus',
  accent: '--accent',
  criticalText: '--critical',
  light: '--ink-on-dark',
  dark: '--ink-on-light',
} as const;
export type Palette = Record<keyof typeof NAMES, string>;

export function palette(): Palette {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(Object.entries(NAMES).map(([k, name]) => [k, style.getPropertyValue(name).trim()])) as Palette;
}

type Tone = 'ok' | 'info' | 'warning' | 'critical' | 'blank' | 'shade0' | 'shade1' | 'shade2' | 'shade3' | 'shade4';

/* What one square looks like: equal looks share a sprite. */
export interface Look {
  body: 'split' | 'whole' | 'all_lost' | 'no_data' | 'agent_down' | 'cannot' | 'paused' | 'idle' | 'none' | 'self';
  a: Tone; // forward, or the whole
  b: Tone; // backward
  middle: Tone | null; // of what neither half tells
  marks: number; // flags
  dimmed: boolean;
}

const bySev = ['ok', 'info', 'warning', 'critical'] as const;

/* The round trip of a delay is about two ways long, so one way is shaded as its double. */
function tone(model: Model, v: Val, sev: Sev, oneWay: boolean): Tone {
  if (sev !== null) return bySev[sev];
  if (v === null) return 'blank';
  if (model.answer.unit === 'ratio' && v === 0) return 'shade0';
  const factor = oneWay && model.answer.unit === 's' ? 2 : 1;
  return `shade${shadeOf(v, model.shades, factor)}` as Tone;
}

const bodies: Record<string, Look['body']> = {
  all_lost: 'all_lost',
  no_data: 'no_data',
  not_run: 'no_data',
  agent_down: 'agent_down',
  send_error: 'cannot',
  name_error: 'cannot',
  refused: 'cannot',
  paused: 'paused',
  drained: 'paused',
  idle: 'idle',
  elsewhere: 'idle',
};

function plain(body: Look['body'], marks = 0, dimmed = false): Look {
  return { body, a: 'blank', b: 'blank', middle: null, marks, dimmed };
}

function measured(model: Model, c: Cell, q: Square, ways: Ways, marks: number, dimmed: boolean): Look {
  const folded = q.cells.length > 1;
  const whole = tone(model, c.roundtrip, folded ? q.worst?.sevRoundtrip ?? c.sevRoundtrip : c.sevRoundtrip, false);
  const forward = tone(model, c.forward, folded ? q.sevForward : c.sevForward, true);
  const backward = tone(model, c.backward, folded ? q.sevBackward : c.sevBackward, true);
  if (ways === 'forward' || ways === 'backward') return { body: 'whole', a: ways === 'forward' ? forward : backward, b: 'blank', middle: null, marks, dimmed };
  if (ways === 'roundtrip' || (c.forward === null && c.backward === null)) return { body: 'whole', a: whole, b: 'blank', middle: null, marks: ways === 'roundtrip' ? marks & ~FLAG_ONE_WAY_INVALID : marks, dimmed };
  const known = Math.max(c.sevForward ?? 0, c.sevBackward ?? 0);
  const rest = (model.answer.unit === 'ratio' && (c.unknown ?? 0) > 0) || (c.sevRoundtrip ?? 0) > known;
  return { body: 'split', a: forward, b: backward, middle: rest && !folded ? whole : null, marks, dimmed };
}

export function look(model: Model, q: Square, ways: Ways, onlyWrong: boolean): Look {
  if (q.self) return plain('self');
  const c = q.worst;
  if (!c) return plain('none');
  const dimmed = onlyWrong && q.wrong === 0;
  const marks = c.flags & (FLAG_ONE_WAY_INVALID | FLAG_MAINTENANCE | FLAG_ALERT);
  const body = bodies[c.state];
  if (body) return plain(body, marks & ~FLAG_ONE_WAY_INVALID, dimmed && !isWrong(c));
  return isMeasured(c.state) ? measured(model, c, q, ways, marks, dimmed) : plain('none', marks);
}

const known = new Map<string, Look>();

/* One object for all looks that are equal: sprites are found by it without comparing. */
export function one(l: Look): Look {
  const k = key(l);
  const old = known.get(k);
  if (old) return old;
  known.set(k, l);
  return l;
}

function key(l: Look): string {
  return `${l.body}|${l.a}|${l.b}|${l.middle ?? ''}|${l.marks}|${l.dimmed ? 1 : 0}`;
}

type G = CanvasRenderingContext2D;

function ink(p: Palette, t: Tone): string {
  return t === 'warning' || t === 'shade4' ? p.dark : p.light;
}

function fill(g: G, p: Palette, t: Tone): void {
  g.fillStyle = t === 'blank' ? p.none : p[t];
  g.fill();
}

function poly(g: G, ...xy: number[]): void {
  g.beginPath();
  for (let i = 0; i + 1 < xy.length; i += 2) g.lineTo(xy[i] ?? 0, xy[i + 1] ?? 0);
  g.closePath();
}

/* The second sign beside the colour: a bar for warning, a disc for critical, nothing otherwise. */
function sign(g: G, p: Palette, t: Tone, x: number, y: number, r: number): void {
  if (t !== 'warning' && t !== 'critical' && t !== 'info') return;
  g.fillStyle = ink(p, t);
  g.beginPath();
  if (t === 'critical') g.arc(x, y, r, 0, 7);
  else if (t === 'warning') g.rect(x - r * 1.25, y - r * 0.5, r * 2.5, r);
  else g.rect(x - r * 0.4, y - r * 0.4, r * 0.8, r * 0.8);
  g.fill();
}

function hatch(g: G, s: number, color: string): void {
  const step = Math.max(3, s / 4);
  g.strokeStyle = color;
  g.lineWidth = Math.max(0.8, s / 18);
  g.beginPath();
  for (let x = -s; x < 2 * s; x += step) {
    g.moveTo(x, s);
    g.lineTo(x + s, 0);
  }
  g.stroke();
}

function cross(g: G, s: number, color: string): void {
  const d = s * 0.2;
  g.strokeStyle = color;
  g.lineWidth = Math.max(1.4, s / 9);
  g.beginPath();
  g.moveTo(d, d);
  g.lineTo(s - d, s - d);
  g.moveTo(s - d, d);
  g.lineTo(d, s - d);
  g.stroke();
}

function body(g: G, p: Palette, l: Look, s: number): void {
  const square = () => poly(g, 0, 0, s, 0, s, s, 0, s);
  const r = Math.max(1, s * 0.09);
  if (l.body === 'split') {
    poly(g, 0, 0, s, 0, s, s);
    fill(g, p, l.a);
    poly(g, 0, 0, 0, s, s, s);
    fill(g, p, l.b);
    const far = s >= TEXT_PITCH - 1 ? 0.12 : 0; // leaves room for numbers
    sign(g, p, l.a, s * (0.7 + far), s * (0.3 + far), Math.min(r, 3.5));
    sign(g, p, l.b, s * (0.3 - far), s * (0.7 - far), Math.min(r, 3.5));
    if (l.a === 'blank' || l.b === 'blank' || l.a === l.b) {
      g.strokeStyle = p.panel; // else two halves of one colour would look like a whole
      g.lineWidth = 1;
      g.beginPath();
      g.moveTo(0, 0);
      g.lineTo(s, s);
      g.stroke();
    }
    return;
  }
  square();
  switch (l.body) {
    case 'whole':
      fill(g, p, l.a);
      sign(g, p, l.a, s / 2, s * (s >= TEXT_PITCH - 1 ? 0.72 : 0.5), Math.min(r * 1.5, 5));
      return;
    case 'all_lost':
      fill(g, p, 'critical');
      cross(g, s, p.light);
      return;
    case 'no_data':
      g.fillStyle = p.unknown;
      g.fill();
      g.save();
      square();
      g.clip();
      hatch(g, s, p.dim);
      g.restore();
      return;
    case 'agent_down':
      g.fillStyle = p.none;
      g.fill();
      g.strokeStyle = p.criticalText;
      g.lineWidth = Math.max(1, s / 14);
      g.strokeRect(g.lineWidth / 2, g.lineWidth / 2, s - g.lineWidth, s - g.lineWidth);
      g.fillStyle = p.criticalText;
      g.fillRect(s * 0.3, s * 0.3, s * 0.4, s * 0.4);
      return;
    case 'cannot':
      fill(g, p, 'warning');
      g.strokeStyle = p.dark;
      g.lineWidth = Math.max(1, s / 12);
      g.beginPath();
      g.arc(s / 2, s / 2, s * 0.28, 0, 7);
      g.moveTo(s * 0.3, s * 0.7);
      g.lineTo(s * 0.7, s * 0.3);
      g.stroke();
      return;
    case 'paused':
      g.fillStyle = p.off;
      g.fill();
      g.fillStyle = p.dim;
      g.fillRect(s * 0.32, s * 0.28, s * 0.12, s * 0.44);
      g.fillRect(s * 0.56, s * 0.28, s * 0.12, s * 0.44);
      return;
    case 'idle':
      g.fillStyle = p.off;
      g.fill();
      g.fillStyle = p.dim;
      g.beginPath();
      g.arc(s / 2, s / 2, Math.max(1, s * 0.1), 0, 7);
      g.fill();
      return;
    case 'self':
      g.fillStyle = p.bg;
      g.fill();
      g.strokeStyle = p.line;
      g.lineWidth = 1;
      g.beginPath();
      g.moveTo(0, 0);
      g.lineTo(s, s);
      g.stroke();
      return;
    case 'none':
      g.fillStyle = p.bg;
      g.fill();
      g.strokeStyle = p.line;
      g.lineWidth = 1;
      g.strokeRect(0.5, 0.5, s - 1, s - 1);
  }
}

function marks(g: G, p: Palette, l: Look, s: number): void {
  const d = Math.max(3, s * 0.26);
  if (l.middle) {
    const m = s * 0.2;
    poly(g, s / 2, s / 2 - m, s / 2 + m, s / 2, s / 2, s / 2 + m, s / 2 - m, s / 2);
    fill(g, p, l.middle);
    g.strokeStyle = p.bg;
    g.lineWidth = Math.max(0.8, s / 24);
    g.stroke();
    sign(g, p, l.middle, s / 2, s / 2, Math.max(0.8, s * 0.06));
  }
  if (l.marks & FLAG_ALERT) {
    poly(g, 0, 0, d, 0, 0, d);
    g.fillStyle = p.text;
    g.fill();
  }
  if (l.marks & FLAG_MAINTENANCE) {
    poly(g, s, s, s - d, s, s, s - d);
    g.fillStyle = p.accent;
    g.fill();
    g.strokeStyle = p.bg;
    g.lineWidth = 0.8;
    g.stroke();
  }
  if (l.marks & FLAG_ONE_WAY_INVALID && l.body !== 'split' && s >= 16) {
    g.fillStyle = l.a === 'warning' || l.a === 'shade4' ? p.dark : p.text;
    g.font = `${Math.round(s * 0.5)}px system-ui, sans-serif`;
    g.textAlign = 'right';
    g.textBaseline = 'top';
    g.fillText('?', s - s * 0.08, s * 0.04);
  }
}

/* One square at (0, 0); for sprites and the legend. */
export function drawSquare(g: G, p: Palette, l: Look, s: number): void {
  g.globalAlpha = l.dimmed ? 0.28 : 1;
  body(g, p, l, s);
  marks(g, p, l, s);
  g.globalAlpha = 1;
}

export class Sprites {
  private made = new Map<Look, HTMLCanvasElement>();
  constructor(
    readonly p: Palette,
    readonly size: number, // of a square without its gap, CSS pixels
    readonly dpr: number,
  ) {}
  /* Of looks that went through one(). */
  get(l: Look): HTMLCanvasElement {
    let c = this.made.get(l);
    if (!c) {
      c = document.createElement('canvas');
      c.width = c.height = Math.max(1, Math.round(this.size * this.dpr));
      const g = c.getContext('2d');
      if (g) {
        g.scale(c.width / this.size, c.height / this.size);
        drawSquare(g, this.p, l, this.size);
      }
      this.made.set(l, c);
    }
    return c;
  }
}

/* ---- the whole ---- */

/* From this size on squares hold numbers. */
export const TEXT_PITCH = 50;

function numbers(g: G, p: Palette, l: Look, texts: readonly string[], x: number, y: number, s: number): void {
  if (texts.length === 0) return;
  g.globalAlpha = l.dimmed ? 0.4 : 1;
  g.font = '10.5px system-ui, sans-serif';
  g.textBaseline = 'middle';
  const onto = (t: Tone) => (t === 'warning' || t === 'shade4' ? p.dark : t === 'critical' ? p.light : p.text);
  if (texts.length === 1) {
    g.textAlign = 'center';
    g.fillStyle = onto(l.a);
    g.fillText(texts[0] ?? '', x + s / 2, y + s / 2);
  } else {
    g.textAlign = 'right';
    g.fillStyle = onto(l.a);
    g.fillText(texts[0] ?? '', x + s - 4, y + 9);
    g.textAlign = 'left';
    g.fillStyle = onto(l.b);
    g.fillText(texts[1] ?? '', x + 4, y + s - 8);
  }
  g.globalAlpha = 1;
}

export interface Geometry {
  pitch: number; // of squares, with the gap
  gap: number;
  left: number; // width of the row headers
  top: number; // height of the column headers
  width: number; // of what is seen
  height: number;
  x: number; // scrolled by
  y: number;
  dpr: number;
}

export interface Scene {
  rows: readonly Line[];
  cols: readonly Line[];
  looks: (row: number, col: number) => Look;
  badge: (row: number, col: number) => string; // text in a square of groups
  texts: (row: number, col: number) => string[]; // numbers in a large square: of both halves, or of the whole
  down: (line: Line) => boolean; // its agent is down
}

export function visible(count: number, pitch: number, scrolled: number, room: number): [number, number] {
  const first = Math.max(0, Math.floor(scrolled / pitch));
  return [first, Math.min(count, Math.ceil((scrolled + room) / pitch))];
}

function shorten(g: G, text: string, room: number): string {
  if (g.measureText(text).width <= room) return text;
  let n = text.length;
  while (n > 1 && g.measureText(`${text.slice(0, n)}\u2026`).width > room) n--;
  return `${text.slice(0, n)}\u2026`;
}

function font(geo: Geometry, bold = false): string {
  const size = Math.min(12.5, Math.max(9, geo.pitch - 1));
  return `${bold ? '600 ' : ''}${size}px system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif`;
}

function header(g: G, p: Palette, line: Line, next: Line | undefined, down: boolean, room: number, along: number, geo: Geometry): void {
  g.font = font(geo, line.folded);
  g.fillStyle = down ? p.criticalText : line.folded ? p.text : p.dim;
  g.fillText(shorten(g, `${down ? '\u25a0 ' : line.folded ? '\u25b8 ' : ''}${line.label}`, room - 10), 0, 0);
  if (line.group !== null && next && next.group !== line.group) {
    g.fillStyle = p.strong;
    g.fillRect(-4, along / 2 - 1, room, 1);
  }
}

export function drawScene(g: G, p: Palette, sprites: Sprites, scene: Scene, geo: Geometry): number {
  const { pitch, left, top, width, height, x, y, dpr } = geo;
  const [r0, r1] = visible(scene.rows.length, pitch, y, height - top);
  const [c0, c1] = visible(scene.cols.length, pitch, x, width - left);
  g.setTransform(dpr, 0, 0, dpr, 0, 0);
  g.fillStyle = p.panel;
  g.fillRect(0, 0, width, height);
  g.save();
  g.beginPath();
  g.rect(left, top, width - left, height - top);
  g.clip();
  for (let r = r0; r < r1; r++)
    for (let c = c0; c < c1; c++) {
      const px = left + c * pitch - x;
      const py = top + r * pitch - y;
      g.drawImage(sprites.get(scene.looks(r, c)), px, py, pitch - geo.gap, pitch - geo.gap);
      if (pitch >= TEXT_PITCH) numbers(g, p, scene.looks(r, c), scene.texts(r, c), px, py, pitch - geo.gap);
      const text = pitch >= 22 ? scene.badge(r, c) : '';
      if (text) {
        g.font = `600 ${Math.round(pitch * 0.32)}px system-ui, sans-serif`;
        g.textAlign = 'center';
        g.textBaseline = 'middle';
        g.lineWidth = 3;
        g.strokeStyle = p.bg;
        g.strokeText(text, px + pitch / 2, py + pitch / 2);
        g.fillStyle = p.text;
        g.fillText(text, px + pitch / 2, py + pitch / 2);
      }
    }
  g.restore();
  drawHeaders(g, p, scene, geo, [r0, r1], [c0, c1]);
  return (r1 - r0) * (c1 - c0);
}

function drawHeaders(g: G, p: Palette, scene: Scene, geo: Geometry, [r0, r1]: [number, number], [c0, c1]: [number, number]): void {
  const { pitch, left, top, width, height, x, y } = geo;
  g.textBaseline = 'middle';
  g.textAlign = 'left';
  g.fillStyle = p.panel;
  g.fillRect(0, 0, left, height);
  g.fillRect(0, 0, width, top);
  g.save();
  g.beginPath();
  g.rect(0, top, left, height - top);
  g.clip();
  for (let r = r0; r < r1; r++) {
    const line = scene.rows[r];
    if (!line) continue;
    g.save();
    g.translate(6, top + r * pitch - y + pitch / 2);
    header(g, p, line, scene.rows[r + 1], scene.down(line), left, pitch, geo);
    g.restore();
  }
  g.restore();
  g.save();
  g.beginPath();
  g.rect(left, 0, width - left, top);
  g.clip();
  for (let c = c0; c < c1; c++) {
    const line = scene.cols[c];
    if (!line) continue;
    g.save();
    g.translate(left + c * pitch - x + pitch / 2, top - 6);
    g.rotate(-Math.PI / 2);
    header(g, p, line, scene.cols[c + 1], scene.down(line), top, pitch, geo);
    g.restore();
  }
  g.restore();
  corner(g, p, left, top);
}

/* Which half is which, where one looks first. */
function corner(g: G, p: Palette, left: number, top: number): void {
  g.strokeStyle = p.line;
  g.lineWidth = 1;
  g.beginPath();
  g.moveTo(0, top - 0.5);
  g.lineTo(left, top - 0.5);
  g.moveTo(left - 0.5, 0);
  g.lineTo(left - 0.5, top);
  g.stroke();
  g.font = '10.5px system-ui, sans-serif';
  g.fillStyle = p.dim;
  g.textAlign = 'left';
  g.fillText('from \u2193', 6, top - 12);
  g.textAlign = 'right';
  g.fillText('to \u2192', left - 7, 12);
}

/* The cross over row and column, and the frame of the square: on a canvas of its own, so that moving draws nothing else. */
export function drawCross(g: G, p: Palette, geo: Geometry, hover: { row: number; col: number } | null, active: { row: number; col: number } | null): void {
  const { pitch, left, top, width, height, x, y, dpr } = geo;
  g.setTransform(dpr, 0, 0, dpr, 0, 0);
  g.clearRect(0, 0, width, height);
  if (hover) {
    g.fillStyle = p.accent;
    g.globalAlpha = 0.16;
    const py = top + hover.row * pitch - y;
    const px = left + hover.col * pitch - x;
    if (py + pitch > top) g.fillRect(0, Math.max(py, top), width, pitch - 1);
    if (px + pitch > left) g.fillRect(Math.max(px, left), 0, pitch - 1, height);
    g.globalAlpha = 1;
  }
  if (active) {
    const px = left + active.col * pitch - x;
    const py = top + active.row * pitch - y;
    if (px + pitch <= left || py + pitch <= top) return;
    g.lineWidth = 2;
    g.strokeStyle = p.bg;
    g.strokeRect(px - 2.5, py - 2.5, pitch + 4, pitch + 4);
    g.strokeStyle = p.focus;
    g.strokeRect(px - 1, py - 1, pitch + 1, pitch + 1);
  }
}
