/* What pages are made of. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { ApiError } from '../api/client';
import { ago, clock, time, word } from '../format';
import { useNow } from '../live/hooks';

/* The heading of a page gets the focus when one comes to it, so that the keyboard and a screen reader start there. */
export function Page(p: { title: string; aside?: ComponentChildren; children: ComponentChildren; wide?: boolean }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${p.title} - twampmesh`;
  }, [p.title]);
  return (
    <div class={p.wide ? 'page wide' : 'page'}>
      <div class="page-head">
        <h1 ref={heading} tabIndex={-1} id="page-title">
          {p.title}
        </h1>
        {p.aside}
      </div>
      {p.children}
    </div>
  );
}

export function Section(p: { title: string; aside?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section class="section">
      <div class="section-head">
        <h2>{p.title}</h2>
        {p.aside}
      </div>
      {p.children}
    </section>
  );
}

/* What went wrong, and what is on the page nevertheless. */
export function ErrorBox(p: { error: ApiError | Error | null; stale?: boolean; retry?: () => void }) {
  if (!p.error) return null;
  return (
    <div class="error-box" role="alert">
      <strong>{p.error instanceof ApiError && p.error.status ? `Refused (${p.error.status})` : 'Failed'}</strong> <span>{p.error.message}</span>
      {p.stale ? <span class="dim"> What is shown is older.</span> : null}
      {p.retry ? (
        <button type="button" onClick={p.retry}>
          Try again
        </button>
      ) : null}
    </div>
  );
}

export function Loading(p: { what: string }) {
  return (
    <p class="dim loading" role="status">
      Loading {p.what}...
    </p>
  );
}

export function Empty(p: { children: ComponentChildren }) {
  return <p class="empty">{p.children}</p>;
}

/* Words of states and severities, each with a sign of its own beside its colour. */
interface Look {
  tone: 'ok' | 'info' | 'warning' | 'critical' | 'off' | 'unknown';
  sign: string;
}
const looks: Record<string, Look> = {
  ok: { tone: 'ok', sign: '\u2713' },
  up: { tone: 'ok', sign: '\u2713' },
  current: { tone: 'ok', sign: '\u2713' },
  resolved: { tone: 'ok', sign: '\u2713' },
  complete: { tone: 'ok', sign: '\u2713' },
  info: { tone: 'info', sign: 'i' },
  running: { tone: 'info', sign: '\u25b8' },
  pending: { tone: 'info', sign: '\u2026' },
  partial: { tone: 'warning', sign: '\u25d0' },
  warning: { tone: 'warning', sign: '!' },
  behind: { tone: 'warning', sign: '!' },
  awaited: { tone: 'warning', sign: '\u2026' },
  refused: { tone: 'warning', sign: '\u2298' },
  send_error: { tone: 'warning', sign: '\u2298' },
  name_error: { tone: 'warning', sign: '\u2298' },
  critical: { tone: 'critical', sign: '\u203c' },
  firing: { tone: 'critical', sign: '\u203c' },
  all_lost: { tone: 'critical', sign: '\u2715' },
  agent_down: { tone: 'critical', sign: '\u25a0' },
  down: { tone: 'critical', sign: '\u25a0' },
  revoked: { tone: 'off', sign: '\u2298' },
  no_data: { tone: 'unknown', sign: '?' },
  not_run: { tone: 'unknown', sign: '?' },
  away: { tone: 'unknown', sign: '?' },
  paused: { tone: 'off', sign: '\u2016' },
  drained: { tone: 'off', sign: '\u2016' },
  idle: { tone: 'off', sign: '\u00b7' },
  elsewhere: { tone: 'off', sign: '\u2197' },
  not_scheduled: { tone: 'off', sign: '\u2013' },
};

export function StateBadge(p: { state: string | null; text?: string }) {
  const state = p.state ?? 'no_data';
  const look = looks[state] ?? { tone: 'unknown', sign: '?' };
  return (
    <span class={`badge tone-${look.tone}`}>
      <span class="sign" aria-hidden="true">
        {look.sign}
      </span>
      {p.text ?? word(state)}
    </span>
  );
}

/* How long ago, with the moment as a hint. */
export function Ago(p: { at: string | number | null }) {
  const now = useNow();
  return (
    <time title={time(p.at)} dateTime={p.at === null ? undefined : time(p.at)}>
      {ago(p.at, now)}
    </time>
  );
}

/* A moment and how long ago it was: "12:04:10Z, 14 min". */
export function Since(p: { at: string | number | null }) {
  const now = useNow();
  return (
    <time title={time(p.at)} dateTime={p.at === null ? undefined : time(p.at)}>
      {clock(p.at, now)} <span class="dim">({ago(p.at, now)})</span>
    </time>
  );
}

export function Field(p: { label: string; children: ComponentChildren; hint?: string }) {
  return (
    <label class="field" title={p.hint}>
      <span>{p.label}</span>
      {p.children}
    </label>
  );
}

export function Select(p: { label: string; value: string; options: readonly (readonly [string, string])[]; onChange: (v: string) => void; hint?: string }) {
  return (
    <Field label={p.label} {...(p.hint ? { hint: p.hint } : {})}>
      <select value={p.value} onChange={(e) => p.onChange(e.currentTarget.value)}>
        {p.options.map(([value, text]) => (
          <option key={value} value={value} selected={value === p.value}>
            {text}
          </option>
        ))}
      </select>
    </Field>
  );
}

export function Check(p: { label: string; checked: boolean; onChange: (v: boolean) => void; hint?: string }) {
  return (
    <label class="check" title={p.hint}>
      <input type="checkbox" checked={p.checked} onChange={(e) => p.onChange(e.currentTarget.checked)} />
      <span>{p.label}</span>
    </label>
  );
}
