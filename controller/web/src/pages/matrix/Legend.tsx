/* What the signs mean, drawn by what draws the grid. */
import { useLayoutEffect, useRef } from 'preact/hooks';
import { useThemeVersion } from '../../ui/theme';
import { drawSquare, palette, type Look } from './draw';
import { FLAG_ALERT, FLAG_MAINTENANCE, FLAG_ONE_WAY_INVALID, type MatrixAnswer, type Model } from './model';
import { value } from './words';

const SIZE = 20;

function Swatch(p: { look: Partial<Look> & { body: Look['body'] } }) {
  const ref = useRef<HTMLCanvasElement>(null);
  const theme = useThemeVersion();
  useLayoutEffect(() => {
    const g = ref.current?.getContext('2d');
    if (!g) return;
    g.setTransform(2, 0, 0, 2, 0, 0);
    g.clearRect(0, 0, SIZE, SIZE);
    drawSquare(g, palette(), { a: 'blank', b: 'blank', middle: null, marks: 0, dimmed: false, ...p.look }, SIZE);
  }, [theme]);
  return <canvas ref={ref} width={SIZE * 2} height={SIZE * 2} aria-hidden="true" class="sample" />;
}

function shades(m: MatrixAnswer, bounds: readonly number[]): string {
  return bounds.length ? `no rule judges it: darker to lighter by value, steps at ${[...new Set(bounds.map((b) => value(m, b)))].join(', ')}` : '';
}

export function Legend(p: { model: Model }) {
  const m = p.model.answer;
  const level = (v: number | null | undefined) => (v === null || v === undefined ? '' : ` from ${value(m, v)}`);
  const unjudged = p.model.cells.some((c) => c.sevRoundtrip === null && c.roundtrip !== null);
  const items: [Partial<Look> & { body: Look['body'] }, string][] = [
    [{ body: 'split', a: 'critical', b: 'ok' }, 'upper right: forward, from row to column'],
    [{ body: 'split', a: 'ok', b: 'critical' }, 'lower left: backward'],
    [{ body: 'whole', a: 'ok' }, 'good'],
    [{ body: 'whole', a: 'warning' }, `bar: warning${level(m.levels?.warning)}`],
    [{ body: 'whole', a: 'critical' }, `disc: critical${level(m.levels?.critical)}`],
    ...(m.levels?.info !== null && m.levels?.info !== undefined ? [[{ body: 'whole', a: 'info' }, `dot: info${level(m.levels.info)}`] as [Partial<Look> & { body: Look['body'] }, string]] : []),
    [{ body: 'all_lost' }, 'all lost'],
    [{ body: 'agent_down' }, 'agent down'],
    [{ body: 'no_data' }, 'no data'],
    [{ body: 'cannot' }, 'cannot send, or refused'],
    [{ body: 'paused' }, 'paused, drained'],
    [{ body: 'idle' }, 'idle, between its runs, or shown by another controller'],
    [{ body: 'none' }, 'not scheduled'],
    ...(m.unit === 'ratio' ? [[{ body: 'split', a: 'ok', b: 'ok', middle: 'critical' }, 'diamond: lost, direction unknown'] as [Partial<Look> & { body: Look['body'] }, string]] : []),
    ...(m.unit === 's' ? [[{ body: 'whole', a: 'ok', marks: FLAG_ONE_WAY_INVALID }, 'not split, ?: one-way delay is not reliable, round trip shown'] as [Partial<Look> & { body: Look['body'] }, string]] : []),
    [{ body: 'whole', a: 'ok', marks: FLAG_ALERT }, 'corner: an alert fires'],
    [{ body: 'whole', a: 'ok', marks: FLAG_MAINTENANCE }, 'lower corner: maintenance'],
    ...(unjudged ? [[{ body: 'split', a: 'shade1', b: 'shade4' }, shades(m, p.model.shades) || 'no rule judges it'] as [Partial<Look> & { body: Look['body'] }, string]] : []),
  ];
  return (
    <details class="legend" open>
      <summary>Legend</summary>
      <ul>
        {items.map(([look, text]) => (
          <li key={text}>
            <Swatch look={look} />
            <span>{text}</span>
          </li>
        ))}
      </ul>
      <p class="dim" id="matrix-keys">
        Keys in the grid: arrows, Home, End, Page Up, Page Down move; n and p go to what is wrong next and before; Enter opens.
      </p>
    </details>
  );
}
