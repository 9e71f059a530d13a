/* Into the past and back. The slider moves in steps of the chosen span; what it stands for goes into the address once it rests. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { serverNow } from '../../api/client';
import { ago, time } from '../../format';
import { useNow } from '../../live/hooks';
import { setQuery } from '../../router';
import { Select } from '../../ui/parts';

const SPANS: readonly (readonly [string, string, number])[] = [
  ['1h', '1 hour', 3600],
  ['6h', '6 hours', 6 * 3600],
  ['1d', '1 day', 86400],
  ['7d', '7 days', 7 * 86400],
  ['30d', '30 days', 30 * 86400],
];
const STEPS = 360;
const REST_MS = 200;

export function spanSeconds(name: string | null): number {
  return SPANS.find(([n]) => n === name)?.[2] ?? 6 * 3600;
}

/* The moment `back` seconds ago, in whole seconds, as an address has it. */
export function momentAgo(now: number, back: number): string {
  return time(Math.floor(now / 1000 - back) * 1000);
}

/* What people type: "2026-11-27 12:00", "2026-11-27T12:00:30Z", "12:00" of today or else yesterday, all UTC, and "-15m" before now. */
export function momentOf(input: string, now: number): string | null {
  const text = input.trim();
  const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86400 };
  const before = /^-(\d+)\s*([smhd])$/.exec(text);
  if (before) return momentAgo(now, Number(before[1]) * (units[before[2] ?? 's'] ?? 1));
  const full = /^(?:(\d{4}-\d\d-\d\d)[ T])?(\d\d:\d\d)(:\d\d)?Z?$/.exec(text);
  if (!full) return null;
  const today = new Date(now).toISOString().slice(0, 10);
  const ms = Date.parse(`${full[1] ?? today}T${full[2] ?? ''}${full[3] ?? ':00'}Z`);
  if (!Number.isFinite(ms)) return null;
  return time(!full[1] && ms > now ? ms - 86400_000 : ms);
}

export function TimeBar(p: { at: string | null; span: string | null }) {
  const now = useNow();
  const span = Math.max(spanSeconds(p.span), p.at ? Math.ceil((now - Date.parse(p.at)) / 1000) : 0);
  const step = Math.max(1, Math.round(spanSeconds(p.span) / STEPS));
  const given = p.at ? Math.max(0, Math.min(span, Math.round((now - Date.parse(p.at)) / 1000))) : 0;
  const [moving, setMoving] = useState<number | null>(null); // seconds back, while it moves
  const [bad, setBad] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  useEffect(() => () => clearTimeout(timer.current), []);

  const commit = (back: number) => setQuery({ at: back < step ? null : momentAgo(serverNow(), back) }, { replace: true });
  const slide = (back: number) => {
    setMoving(back);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      commit(back);
      setMoving(null);
    }, REST_MS);
  };
  const back = moving ?? given;
  const moment = moving === null && p.at ? time(p.at) : momentAgo(now, back);
  const text = back < step && !p.at ? 'now' : `${moment}, ${ago(moment, now)} ago`;
  return (
    <div class="time-bar">
      <Select label="Time" value={SPANS.some(([n]) => n === p.span) ? (p.span ?? '6h') : '6h'} options={SPANS.map(([n, t]) => [n, `last ${t}`] as const)} onChange={(v) => setQuery({ span: v === '6h' ? null : v }, { replace: true })} />
      <button type="button" aria-label="Earlier" onClick={() => commit(Math.min(span, back + step * 6))}>
        &#x25c2;
      </button>
      <input type="range" aria-label="Moment" aria-valuetext={text} min={-span} max={0} step={step} value={-back} onInput={(e) => slide(-Number(e.currentTarget.value))} />
      <button type="button" aria-label="Later" disabled={back < step && !p.at} onClick={() => commit(Math.max(0, back - step * 6))}>
        &#x25b8;
      </button>
      <input
        type="text"
        class="moment"
        aria-label="Moment, UTC: 2026-11-27 12:00, 12:00, or -15m"
        title="UTC: 2026-11-27 12:00, 12:00, or -15m"
        placeholder="12:00 or -15m"
        size={20}
        aria-invalid={bad}
        value={p.at && moving === null ? time(p.at) : ''}
        onChange={(e) => {
          const at = momentOf(e.currentTarget.value, serverNow());
          setBad(at === null && e.currentTarget.value !== '');
          if (at) setQuery({ at: Date.parse(at) > serverNow() ? null : at });
          else if (e.currentTarget.value === '') setQuery({ at: null });
        }}
      />
      <span class="dim time-text">{text}</span>
    </div>
  );
}

export function PastBand(p: { at: string; shown: string | null }) {
  const now = useNow();
  return (
    <div class="band past" role="status">
      <strong>The past</strong>
      <span>
        {time(p.at)}, {ago(p.at, now)} ago{p.shown && time(p.shown) !== time(p.at) ? `; newest report period then: until ${time(p.shown)}` : ''}
      </span>
      <button type="button" onClick={() => setQuery({ at: null })}>
        Back to now
      </button>
    </div>
  );
}
