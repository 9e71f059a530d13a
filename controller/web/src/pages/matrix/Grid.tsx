/* The grid: a canvas that shows the part that is scrolled to, and for keyboard and screen readers an ARIA grid of which the active cell,
 * with its row and column headers, is in the document. */
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { go } from '../../router';
import { useThemeVersion } from '../../ui/theme';
import { drawCross, drawScene, look, one, palette, Sprites, type Geometry, type Look, type Scene, type Ways } from './draw';
import { square, type Line, type Square, type View } from './model';
import { CellCard } from './CellCard';
import { describe, inSquare } from './words';

export interface At {
  row: number;
  col: number;
}

const LEAST_PITCH = 9;
const EASY_PITCH = 34; // larger only where the whole grid is in sight then
const MOST_PITCH = 72;

export function pitchFor(width: number, height: number, columns: number, rows: number, zoom: number): number {
  const fit = Math.floor(width / Math.max(1, columns));
  const sight = Math.max(EASY_PITCH, Math.floor(height / Math.max(1, rows)));
  return Math.round(Math.min(MOST_PITCH, Math.max(LEAST_PITCH, Math.min(fit, sight) * zoom)));
}

function headerSize(lines: readonly Line[], down: (l: Line) => boolean, least: number, most: number): number {
  const longest = lines.reduce((n, l) => Math.max(n, l.label.length + (l.folded || down(l) ? 3 : 0)), 0);
  return Math.min(most, Math.max(least, 14 + longest * 6.6));
}

/* The next square that the keys lead to; null: not a key of ours. */
export function move(key: string, ctrl: boolean, at: At, rows: number, cols: number): At | null {
  const { row, col } = at;
  const inside = (r: number, c: number) => ({ row: Math.max(0, Math.min(rows - 1, r)), col: Math.max(0, Math.min(cols - 1, c)) });
  switch (key) {
    case 'ArrowUp':
      return inside(row - 1, col);
    case 'ArrowDown':
      return inside(row + 1, col);
    case 'ArrowLeft':
      return inside(row, col - 1);
    case 'ArrowRight':
      return inside(row, col + 1);
    case 'PageUp':
      return inside(row - 10, col);
    case 'PageDown':
      return inside(row + 10, col);
    case 'Home':
      return inside(ctrl ? 0 : row, 0);
    case 'End':
      return inside(ctrl ? rows - 1 : row, cols - 1);
    default:
      return null;
  }
}

export function Grid(p: {
  view: View;
  ways: Ways;
  onlyWrong: boolean;
  zoom: number;
  label: string;
  arrivedMs: number; // when the data came, for measuring
  pairHref: (q: Square) => { page: string; query: Record<string, string | null> } | null;
  unfold: (group: string) => void;
}) {
  const { view } = p;
  const { rows, cols } = view;
  const box = useRef<HTMLDivElement>(null);
  const base = useRef<HTMLCanvasElement>(null);
  const over = useRef<HTMLCanvasElement>(null);
  const activeCell = useRef<HTMLSpanElement>(null);
  const wantFocus = useRef(false);
  const [size, setSize] = useState({ width: 0, height: 0, room: 0 });
  const [active, setActive] = useState<At>({ row: 0, col: 0 });
  const [hover, setHover] = useState<At | null>(null);
  const [shown, setShown] = useState<'hover' | 'focus' | null>(null);
  const theme = useThemeVersion();

  const isDown = useCallback((line: Line) => !line.folded && line.nodes.some((i) => view.model.answer.nodes[i]?.state === 'down'), [view]);
  const left = Math.round(Math.min(size.width * 0.4, headerSize(rows, isDown, 64, 170)));
  const top = Math.round(headerSize(cols, isDown, 40, 110));
  const pitch = pitchFor(size.width - left - 2, size.room - top - 2, cols.length, rows.length, p.zoom);
  const gap = pitch >= 7 ? 1 : 0;
  const fullWidth = left + cols.length * pitch;
  const fullHeight = top + rows.length * pitch;

  // Squares are looked up while drawing, again and again on scrolling; each is made once.
  const cache = useMemo(() => new Array<Square | undefined>(rows.length * cols.length), [view]);
  const at = useCallback(
    (r: number, c: number): Square => {
      const k = r * cols.length + c;
      return (cache[k] ??= square(view, rows[r] as Line, cols[c] as Line));
    },
    [view, cache],
  );
  const scene = useMemo<Scene>(() => {
    const looks: (Look | undefined)[] = new Array<Look | undefined>(rows.length * cols.length);
    return {
      rows,
      cols,
      looks: (r, c) => {
        const k = r * cols.length + c;
        return (looks[k] ??= one(look(view.model, at(r, c), p.ways, p.onlyWrong)));
      },
      badge: (r, c) => {
        const q = at(r, c);
        return q.cells.length > 1 && q.wrong > 0 ? String(q.wrong) : '';
      },
      texts: (r, c) => inSquare(view.model.answer, at(r, c), p.ways),
      down: isDown,
    };
  }, [view, at, isDown, p.ways, p.onlyWrong]);

  const dpr = typeof devicePixelRatio === 'number' ? Math.min(3, devicePixelRatio) : 1;
  const tools = useMemo(() => {
    const colors = palette();
    return { colors, sprites: new Sprites(colors, pitch - gap, dpr) };
  }, [theme, pitch, gap, dpr]);

  const geometry = (): Geometry => ({ pitch, gap, left, top, width: size.width, height: size.height, x: box.current?.scrollLeft ?? 0, y: box.current?.scrollTop ?? 0, dpr });

  const drawOver = () => {
    const g = over.current?.getContext('2d');
    if (g) drawCross(g, tools.colors, geometry(), hover, shown === 'focus' ? active : null);
  };
  const draw = () => {
    const g = base.current?.getContext('2d');
    if (!g || size.width === 0) return;
    const begin = performance.now();
    const squares = drawScene(g, tools.colors, tools.sprites, scene, geometry());
    performance.measure('matrix-draw', { start: begin, detail: { squares } });
    drawOver();
  };

  // The size of what is seen: as wide as the page allows, and as high as the window, but no higher than the grid.
  useLayoutEffect(() => {
    const el = box.current;
    if (!el) return undefined;
    const measure = () => {
      const room = Math.max(240, innerHeight - el.getBoundingClientRect().top - scrollY - 12);
      const width = el.clientWidth;
      const height = Math.min(room, Math.max(120, fullHeight + (fullWidth > width ? 14 : 2)));
      setSize((old) => (old.width === width && old.height === height && old.room === room ? old : { width, height, room }));
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(el);
    addEventListener('resize', measure);
    return () => {
      observer.disconnect();
      removeEventListener('resize', measure);
    };
  }, [fullHeight, fullWidth]);

  const measured = useRef(0);
  useLayoutEffect(() => {
    draw();
    if (measured.current === p.arrivedMs || size.width === 0) return;
    measured.current = p.arrivedMs;
    performance.measure('matrix-shown', { start: p.arrivedMs, detail: { rows: rows.length, cols: cols.length } });
  }, [scene, tools, size, left, top]);
  useLayoutEffect(drawOver, [hover, active, shown, tools, size]);

  // Fewer rows than before: the active cell must be one that there is.
  useEffect(() => {
    setActive((a) => ({ row: Math.max(0, Math.min(a.row, rows.length - 1)), col: Math.max(0, Math.min(a.col, cols.length - 1)) }));
    setHover(null);
  }, [rows.length, cols.length]);

  useLayoutEffect(() => {
    if (!wantFocus.current) return;
    wantFocus.current = false;
    activeCell.current?.focus({ preventScroll: true });
  }, [active]);

  const frame = useRef(0);
  const onScroll = () => {
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(draw);
  };

  const reveal = (a: At) => {
    const el = box.current;
    if (!el) return;
    const x = a.col * pitch;
    const y = a.row * pitch;
    if (x < el.scrollLeft) el.scrollLeft = x;
    else if (x + pitch > el.scrollLeft + size.width - left) el.scrollLeft = x + pitch - (size.width - left) + 2;
    if (y < el.scrollTop) el.scrollTop = y;
    else if (y + pitch > el.scrollTop + size.height - top) el.scrollTop = y + pitch - (size.height - top) + 16;
  };

  const activate = (a: At) => {
    wantFocus.current = true;
    setActive(a);
    setShown('focus');
    reveal(a);
  };

  const open = (a: At) => {
    const q = at(a.row, a.col);
    const folded = [rows[a.row], cols[a.col]].find((l) => l?.folded);
    if (folded?.group != null) return p.unfold(folded.group);
    const to = p.pairHref(q);
    if (to) go(to.page, to.query);
    return undefined;
  };

  const nextWrong = (step: 1 | -1) => {
    const n = rows.length * cols.length;
    let k = active.row * cols.length + active.col;
    for (let i = 0; i < n; i++) {
      k = (k + step + n) % n;
      const a = { row: Math.floor(k / cols.length), col: k % cols.length };
      if (at(a.row, a.col).wrong) return activate(a);
    }
    return undefined;
  };

  const onKey = (e: KeyboardEvent) => {
    if (e.altKey || e.metaKey) return;
    const to = move(e.key, e.ctrlKey, active, rows.length, cols.length);
    if (to) activate(to);
    else if (e.ctrlKey) return;
    else if (e.key === 'Enter' || e.key === ' ') open(active);
    else if (e.key === 'n') nextWrong(1);
    else if (e.key === 'p') nextWrong(-1);
    else if (e.key === 'Escape') setShown(null);
    else return;
    e.preventDefault();
  };

  const hit = (e: PointerEvent | MouseEvent): At | null => {
    const el = base.current;
    if (!el) return null;
    const r = el.getBoundingClientRect();
    const x = e.clientX - r.left - left;
    const y = e.clientY - r.top - top;
    const col = Math.floor((x + (box.current?.scrollLeft ?? 0)) / pitch);
    const row = Math.floor((y + (box.current?.scrollTop ?? 0)) / pitch);
    return x < 0 || y < 0 || row >= rows.length || col >= cols.length ? null : { row, col };
  };

  /* Headers of groups fold and unfold. */
  const headerHit = (e: MouseEvent): Line | null => {
    const r = base.current?.getBoundingClientRect();
    if (!r) return null;
    const x = e.clientX - r.left;
    const y = e.clientY - r.top;
    if (x < left && y > top) return rows[Math.floor((y - top + (box.current?.scrollTop ?? 0)) / pitch)] ?? null;
    if (y < top && x > left) return cols[Math.floor((x - left + (box.current?.scrollLeft ?? 0)) / pitch)] ?? null;
    return null;
  };

  const touch = useRef(false);
  const tapped = useRef<At | null>(null);
  const onClick = (e: MouseEvent) => {
    const a = hit(e);
    if (!a) {
      const line = headerHit(e);
      if (line?.folded && line.group !== null) p.unfold(line.group);
      return;
    }
    // A finger has no hover: the first tap shows, the second one opens.
    const again = tapped.current?.row === a.row && tapped.current.col === a.col;
    tapped.current = a;
    if (touch.current && !again) return activate(a);
    activate(a);
    open(a);
  };

  const pointed = shown === 'hover' ? hover : shown === 'focus' ? active : null;
  const row = rows[active.row];
  const col = cols[active.col];
  const said = row && col ? describe(view.model, row, col, at(active.row, active.col)) : '';
  const cardAt = pointed && rows[pointed.row] && cols[pointed.col] ? pointed : null;

  return (
    <div class="matrix-wrap">
      <div
        class="matrix-box"
        ref={box}
        data-left={left}
        data-top={top}
        data-pitch={pitch}
        style={{ height: size.height ? `${size.height}px` : '300px' }}
        onScroll={onScroll}
        onPointerMove={(e) => {
          if (e.pointerType === 'touch') return;
          const a = hit(e);
          if (a?.row === hover?.row && a?.col === hover?.col) return;
          setHover(a);
          setShown(a ? 'hover' : null);
        }}
        onPointerDown={(e) => (touch.current = e.pointerType === 'touch')}
        onPointerLeave={() => {
          setHover(null);
          setShown((s) => (s === 'hover' ? null : s));
        }}
        onClick={onClick}
      >
        <div class="matrix-sheet" style={{ width: `${fullWidth}px`, height: `${fullHeight}px` }}>
          <div class="matrix-window" style={{ width: `${size.width}px`, height: `${size.height}px` }}>
            <canvas ref={base} aria-hidden="true" width={Math.round(size.width * dpr)} height={Math.round(size.height * dpr)} style={{ width: `${size.width}px`, height: `${size.height}px` }} />
            <canvas ref={over} aria-hidden="true" width={Math.round(size.width * dpr)} height={Math.round(size.height * dpr)} style={{ width: `${size.width}px`, height: `${size.height}px` }} />
            <div class="matrix-aria" role="grid" aria-label={p.label} aria-rowcount={rows.length + 1} aria-colcount={cols.length + 1} aria-describedby="matrix-keys" onKeyDown={onKey}>
              <div role="row" aria-rowindex={1}>
                <span role="columnheader" aria-colindex={1}>
                  from / to
                </span>
                <span role="columnheader" aria-colindex={active.col + 2}>
                  {col?.label ?? ''}
                </span>
              </div>
              <div role="row" aria-rowindex={active.row + 2}>
                <span role="rowheader" aria-colindex={1}>
                  {row?.label ?? ''}
                </span>
                <span
                  key={`${active.row}/${active.col}`}
                  ref={activeCell}
                  role="gridcell"
                  aria-colindex={active.col + 2}
                  tabIndex={0}
                  data-row={row?.label}
                  data-col={col?.label}
                  onFocus={() => setShown('focus')}
                  onBlur={() => setShown((s) => (s === 'focus' ? null : s))}
                >
                  {said}
                </span>
              </div>
            </div>
          </div>
        </div>
      </div>
      {cardAt ? (
        <CellCard
          model={view.model}
          row={rows[cardAt.row] as Line}
          col={cols[cardAt.col] as Line}
          square={at(cardAt.row, cardAt.col)}
          x={left + cardAt.col * pitch - (box.current?.scrollLeft ?? 0)}
          y={top + cardAt.row * pitch - (box.current?.scrollTop ?? 0)}
          pitch={pitch}
          width={size.width}
          height={size.height}
        />
      ) : null}
    </div>
  );
}
