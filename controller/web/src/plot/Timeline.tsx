/* What the plots of a page share: the stretch of time, and how one moves in it.
 *
 *   mouse     drag: zoom to it; Shift and drag, or a sideways wheel: pan; Ctrl and wheel: zoom; double click: the whole span
 *   fingers   one, sideways: pan; two: zoom. Up and down scrolls the page
 *   keys      arrows: the cursor; Shift and arrows: pan; + and -: zoom at the cursor; 0 or Escape: the whole span; Home, End */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Cursor } from './cursor';
import { panBy, zoomBy, clamp, type View } from './view';

export interface Moves {
  view: View;
  stepMs: number;
  now: () => number;
  change: (v: View, settled: boolean) => void; // settled: an entry to go back to
  reset: () => void;
}

interface Area {
  left: number;
  width: number;
}
/* Of the plot that is pointed at, else of the first. */
function areaOf(root: HTMLElement, target: EventTarget | null): Area | null {
  const over = (target instanceof Element ? target.closest('.u-over') : null) ?? root.querySelector('.u-over');
  if (!over) return null;
  const r = over.getBoundingClientRect();
  return r.width > 0 ? { left: r.left, width: r.width } : null;
}
const timeAt = (a: Area, v: View, clientX: number) => v.fromMs + ((clientX - a.left) / a.width) * (v.toMs - v.fromMs);

type Gesture =
  | { kind: 'select'; id: number; fromX: number; toX: number }
  | { kind: 'pan'; id: number; x: number; view: View; moved: boolean }
  | { kind: 'pinch'; ids: [number, number]; apart: number; view: View; atMs: number };

export function Timeline(p: { label: string; describedBy: string; moves: Moves; cursor: Cursor; said: (ms: number) => string; children: ComponentChildren }) {
  const root = useRef<HTMLDivElement>(null);
  const latest = useRef(p);
  latest.current = p;
  const [band, setBand] = useState<{ left: number; width: number } | null>(null);
  const [said, setSaid] = useState('');

  useEffect(() => {
    const el = root.current;
    if (!el) return undefined;
    const touches = new Map<number, number>(); // pointer: x
    let gesture: Gesture | null = null;
    let held: Area | null = null; // of the plot where the gesture began

    const onDown = (e: PointerEvent) => {
      const area = areaOf(el, e.target);
      if (!area || !(e.target as Element).closest('.u-over') || e.button > 1) return;
      const { view } = latest.current.moves;
      held = area;
      el.setPointerCapture(e.pointerId);
      if (e.pointerType === 'touch') {
        touches.set(e.pointerId, e.clientX);
        const [a, b] = [...touches];
        if (a && b) gesture = { kind: 'pinch', ids: [a[0], b[0]], apart: Math.max(20, Math.abs(a[1] - b[1])), view, atMs: timeAt(area, view, (a[1] + b[1]) / 2) };
        else gesture = { kind: 'pan', id: e.pointerId, x: e.clientX, view, moved: false };
        latest.current.cursor.set(timeAt(area, view, e.clientX));
      } else if (e.shiftKey || e.button === 1) gesture = { kind: 'pan', id: e.pointerId, x: e.clientX, view, moved: false };
      else gesture = { kind: 'select', id: e.pointerId, fromX: e.clientX, toX: e.clientX };
    };

    const onMove = (e: PointerEvent) => {
      const area = gesture && held ? held : areaOf(el, e.target);
      if (!area) return;
      const { moves, cursor } = latest.current;
      if (touches.has(e.pointerId)) touches.set(e.pointerId, e.clientX);
      if (gesture?.kind === 'select') {
        gesture.toX = e.clientX;
        const a = Math.max(area.left, Math.min(gesture.fromX, gesture.toX));
        const b = Math.min(area.left + area.width, Math.max(gesture.fromX, gesture.toX));
        setBand(b - a > 3 ? { left: a - el.getBoundingClientRect().left, width: b - a } : null);
      } else if (gesture?.kind === 'pan' && gesture.id === e.pointerId) {
        const dx = e.clientX - gesture.x;
        if (Math.abs(dx) > 4) gesture.moved = true;
        if (gesture.moved) moves.change(panBy(gesture.view, (-dx / area.width) * (gesture.view.toMs - gesture.view.fromMs), moves.now()), false);
      } else if (gesture?.kind === 'pinch') {
        const [a, b] = gesture.ids.map((id) => touches.get(id) ?? 0);
        const apart = Math.max(20, Math.abs((a ?? 0) - (b ?? 0)));
        moves.change(zoomBy(gesture.view, gesture.apart / apart, gesture.atMs, moves.now()), false);
        return;
      }
      const inside = e.clientX >= area.left && e.clientX <= area.left + area.width;
      if (e.pointerType !== 'touch' || gesture?.kind === 'pan') cursor.set(inside ? timeAt(area, moves.view, e.clientX) : null);
    };

    const onUp = (e: PointerEvent) => {
      touches.delete(e.pointerId);
      const area = held;
      if (gesture?.kind === 'select' && area && e.type === 'pointerup') {
        const { moves } = latest.current;
        const a = timeAt(area, moves.view, Math.max(area.left, Math.min(gesture.fromX, gesture.toX)));
        const b = timeAt(area, moves.view, Math.min(area.left + area.width, Math.max(gesture.fromX, gesture.toX)));
        if (Math.abs(gesture.toX - gesture.fromX) > 4) moves.change(clamp(a, b, moves.now()), true);
      }
      setBand(null);
      gesture = null;
    };

    const onLeave = (e: PointerEvent) => {
      if (e.pointerType !== 'touch' && !gesture) latest.current.cursor.set(null);
    };
    const onWheel = (e: WheelEvent) => {
      const area = areaOf(el, e.target);
      const { moves } = latest.current;
      const sideways = Math.abs(e.deltaX) > Math.abs(e.deltaY) || e.shiftKey;
      if (!area || (!e.ctrlKey && !sideways)) return; // up and down scrolls the page
      e.preventDefault();
      const length = moves.view.toMs - moves.view.fromMs;
      const scale = e.deltaMode === 1 ? 16 : 1;
      if (e.ctrlKey) moves.change(zoomBy(moves.view, Math.exp(Math.max(-1, Math.min(1, e.deltaY * scale * 0.004))), timeAt(area, moves.view, e.clientX), moves.now()), false);
      else moves.change(panBy(moves.view, (((e.deltaX || e.deltaY) * scale) / area.width) * length, moves.now()), false);
    };
    const onDouble = (e: MouseEvent) => {
      if ((e.target as Element).closest('.u-over')) latest.current.moves.reset();
    };
    el.addEventListener('pointerdown', onDown);
    el.addEventListener('pointermove', onMove);
    el.addEventListener('pointerup', onUp);
    el.addEventListener('pointercancel', onUp);
    el.addEventListener('pointerleave', onLeave);
    el.addEventListener('wheel', onWheel, { passive: false });
    el.addEventListener('dblclick', onDouble);
    return () => {
      el.removeEventListener('pointerdown', onDown);
      el.removeEventListener('pointermove', onMove);
      el.removeEventListener('pointerup', onUp);
      el.removeEventListener('pointercancel', onUp);
      el.removeEventListener('pointerleave', onLeave);
      el.removeEventListener('wheel', onWheel);
      el.removeEventListener('dblclick', onDouble);
    };
  }, []);

  const onKey = (e: KeyboardEvent) => {
    if (e.ctrlKey || e.altKey || e.metaKey || e.target !== root.current) return;
    const { view, stepMs, now, change, reset } = p.moves;
    const length = view.toMs - view.fromMs;
    const at = p.cursor.ms ?? (e.key === '+' || e.key === '=' || e.key === '-' ? (view.live ? view.toMs : (view.fromMs + view.toMs) / 2) : e.key === 'ArrowRight' ? view.fromMs - stepMs : view.toMs);
    const point = (ms: number) => {
      const inside = Math.min(view.toMs - stepMs / 2, Math.max(view.fromMs + stepMs / 2, ms));
      p.cursor.set(inside);
      setSaid(p.said(inside));
    };
    const move = e.key === 'ArrowLeft' ? -1 : e.key === 'ArrowRight' ? 1 : 0;
    if (move && e.shiftKey) change(panBy(view, (move * length) / 4, now()), false);
    else if (move) point(at + move * stepMs);
    else if (e.key === 'PageUp' || e.key === 'PageDown') change(panBy(view, ((e.key === 'PageUp' ? -1 : 1) * length) / 2, now()), false);
    else if (e.key === 'Home') point(view.fromMs);
    else if (e.key === 'End') point(view.toMs);
    else if (e.key === '+' || e.key === '=') change(zoomBy(view, 0.5, at, now()), false);
    else if (e.key === '-') change(zoomBy(view, 2, at, now()), false);
    else if (e.key === '0' || e.key === 'Escape') reset();
    else return;
    e.preventDefault();
  };

  return (
    <div class="timeline" ref={root} tabIndex={0} role="application" aria-label={p.label} aria-describedby={p.describedBy} onKeyDown={onKey} onBlur={() => setSaid('')}>
      {p.children}
      {band ? <div class="timeline-band" style={{ left: band.left, width: band.width }} /> : null}
      <div class="sr-only" role="status">
        {said}
      </div>
    </div>
  );
}
