/* What is shown, as files. */
import { moment } from '../../plot/view';
import type { Gap } from './model';
import type { Numbers, Series } from './types';

/* RFC 4180, and nothing that a spreadsheet would take for a formula. */
function cell(v: unknown): string {
  if (v === null || v === undefined) return '';
  if (typeof v === 'number' || typeof v === 'boolean') return String(v);
  const text = String(v);
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

/* One row for each step under the API's names, and for each gap one with its cause and no numbers. Nanoseconds are left out: they do not fit
 * the browser's numbers, and the times say the same. */
export function csvOf(series: Series, gaps: readonly Gap[]): string {
  const columns: string[] = [];
  for (const s of series.steps)
    for (const [k, v] of Object.entries(s)) if (!columns.includes(k) && !k.endsWith('_ns') && (v === null || typeof v !== 'object')) columns.push(k);
  if (!columns.includes('start')) columns.unshift('start', 'end');
  const rows: { ms: number; row: Partial<Numbers> & { gap?: string } }[] = series.steps.map((s) => ({ ms: Date.parse(s.start ?? ''), row: s }));
  for (const g of gaps) if (!g.pending) rows.push({ ms: g.startMs, row: { start: moment(g.startMs), end: moment(g.endMs), gap: g.cause } });
  rows.sort((a, b) => a.ms - b.ms);
  const head = [...columns, 'gap'];
  return `${head.join(',')}\r\n${rows.map(({ row }) => head.map((c) => cell(row[c])).join(',')).join('\r\n')}\r\n`;
}

export function download(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  const a = document.createElement('a');
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export function fileName(pair: { source: string; target: string; mesh: string; class: string }, fromMs: number, ext: string): string {
  const stamp = new Date(fromMs).toISOString().slice(0, 19).replace(/[-:]/g, '');
  return `${pair.mesh}_${pair.class}_${pair.source}_${pair.target}_${stamp}Z.${ext}`.replace(/[^\w.+-]/g, '_');
}

/* All canvases below `root`, one under the other, with the words above them. */
export async function pngOf(root: HTMLElement, title: string, lines: readonly string[]): Promise<Blob> {
  const blocks = [...root.querySelectorAll<HTMLElement>('[data-plot]')].map((el) => ({ head: el.dataset.plot ?? '', canvas: el.querySelector('canvas') }));
  const drawn = blocks.flatMap((b) => (b.canvas && b.canvas.width > 0 ? [{ head: b.head, canvas: b.canvas }] : []));
  const ratio = devicePixelRatio || 1;
  const width = Math.max(360 * ratio, ...drawn.map((b) => b.canvas.width));
  const style = getComputedStyle(document.documentElement);
  const line = 18 * ratio;
  const out = document.createElement('canvas');
  const ctx = out.getContext('2d');
  if (!ctx) throw new Error('this browser cannot draw');
  ctx.font = `${12 * ratio}px sans-serif`;
  const texts = lines.flatMap((t) => wrap(ctx, t, width - 16 * ratio));
  out.width = width;
  out.height = line * (2 + texts.length) + drawn.reduce((h, b) => h + b.canvas.height + line, 0);
  ctx.fillStyle = style.getPropertyValue('--panel');
  ctx.fillRect(0, 0, out.width, out.height);
  ctx.fillStyle = style.getPropertyValue('--text');
  ctx.font = `bold ${14 * ratio}px sans-serif`;
  ctx.fillText(title, 8 * ratio, line);
  ctx.font = `${12 * ratio}px sans-serif`;
  let y = line * 2;
  for (const t of texts) ctx.fillText(t, 8 * ratio, (y += line) - line * 0.2);
  y = line * (1.6 + texts.length);
  for (const b of drawn) {
    ctx.fillText(b.head, 8 * ratio, y + line * 0.75);
    ctx.drawImage(b.canvas, 0, y + line);
    y += b.canvas.height + line;
  }
  return new Promise((resolve, reject) => out.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('the picture is too large'))), 'image/png'));
}

function wrap(ctx: CanvasRenderingContext2D, text: string, width: number): string[] {
  const out: string[] = [];
  let line = '';
  for (const w of text.split(' ')) {
    const longer = line ? `${line} ${w}` : w;
    if (line && ctx.measureText(longer).width > width) {
      out.push(line);
      line = w;
    } else line = longer;
  }
  return line ? [...out, line] : out;
}
