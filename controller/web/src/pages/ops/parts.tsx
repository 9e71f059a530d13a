/* What the pages for operators share. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { serverNow } from '../../api/client';
import { ago, time } from '../../format';
import { useApi, useLive, useNow, type Answer } from '../../live/hooks';
import type { Topic } from '../../live/live';
import { href, setQuery, useRoute, type Query } from '../../router';
import { ErrorBox, Loading, Page } from '../../ui/parts';
import { DialogHost, ReadOnly } from './dialog';
import './ops.css';

export interface Data<T> extends Answer<T> {
  at: number | null; // when the answer came, by the controller's clock
}

/* useApi() for answers that may be large: after news of `topic`, but not more often than every `everyMs`. */
export function useData<T>(path: string | null, query: Query = {}, topic: Topic | null = null, everyMs = 2000): Data<T> {
  const answer = useApi<T>(path, query);
  const { versions } = useLive();
  const version = topic ? versions[topic] : 0;
  const first = useRef(true);
  const last = useRef(0);
  const { reload } = answer;
  useEffect(() => {
    if (first.current) {
      first.current = false;
      last.current = Date.now();
      return undefined;
    }
    const timer = setTimeout(() => {
      last.current = Date.now();
      reload();
    }, Math.max(0, last.current + everyMs - Date.now()));
    return () => clearTimeout(timer);
  }, [version, reload, everyMs]);
  const at = useRef<{ data: T | null; ms: number | null }>({ data: null, ms: null });
  if (answer.data !== at.current.data) at.current = { data: answer.data, ms: answer.data ? serverNow() : null };
  return { ...answer, at: at.current.ms };
}

/* How old what is shown is. */
export function AsOf(p: { at: number | null; loading?: boolean }) {
  const now = useNow();
  if (p.at === null) return null;
  return (
    <span class="dim as-of" title={`asked at ${time(p.at)}`}>
      {`${ago(p.at, now)} old`}
    </span>
  );
}

export function OpsPage(p: { title: string; aside?: ComponentChildren; tabs?: ComponentChildren; children: ComponentChildren }) {
  const first = useRef(true);
  // Another view of the page: keyboard and screen reader start at its heading, as on another page.
  useEffect(() => {
    if (first.current) first.current = false;
    else document.getElementById('page-title')?.focus({ preventScroll: true });
  }, [p.title]);
  return (
    <Page title={p.title} aside={p.aside}>
      {p.tabs}
      <ReadOnly id />
      <DialogHost />
      {p.children}
    </Page>
  );
}

export function Tabs(p: { page: string; label: string; now: string; views: readonly (readonly [string, string, string?])[] }) {
  return (
    <nav class="tabs" aria-label={p.label}>
      {p.views.map(([view, title, extra]) => (
        <a key={view} href={href(p.page, { view: view || null })} {...(view === p.now ? { 'aria-current': 'page' as const } : {})}>
          {title}
          {extra ? <span class="count">{extra}</span> : null}
        </a>
      ))}
    </nav>
  );
}

/* A filter that is asked of the controller: sent with Enter, and its refusal stands beside it. */
export function Filter(p: { label: string; param: string; hint: string; error?: Error | null; wide?: boolean; list?: readonly string[] }) {
  const value = useRoute().query.get(p.param) ?? '';
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const id = `filter-${p.param}`;
  return (
    <form
      class="field"
      onSubmit={(e) => {
        e.preventDefault();
        setQuery({ [p.param]: text.trim() || null });
      }}
    >
      <label for={id}>{p.label}</label>
      <input
        id={id}
        class={p.wide ? 'wide-input' : ''}
        value={text}
        title={p.hint}
        placeholder={p.hint}
        spellcheck={false}
        autoComplete="off"
        {...(p.list ? { list: `${id}-list` } : {})}
        onInput={(e) => setText(e.currentTarget.value)}
        onChange={(e) => setQuery({ [p.param]: e.currentTarget.value.trim() || null })}
      />
      {p.list ? (
        <datalist id={`${id}-list`}>
          {p.list.map((x) => (
            <option key={x} value={x} />
          ))}
        </datalist>
      ) : null}
      {value ? (
        <button type="button" class="small" onClick={() => setQuery({ [p.param]: null })}>
          Clear<span class="sr-only"> {p.label}</span>
        </button>
      ) : null}
      {p.error ? <ErrorBox error={p.error} /> : null}
    </form>
  );
}

/* Names and values, for the details of one thing. */
export function Facts(p: { title?: string; rows: readonly (readonly [string, ComponentChildren, string?])[] }) {
  const rows = p.rows.filter(([, v]) => v !== null && v !== undefined && v !== '');
  if (!rows.length) return null;
  return (
    <div class="facts">
      {p.title ? <h2>{p.title}</h2> : null}
      <dl>
        {rows.map(([name, value, hint]) => (
          <div key={name} title={hint}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

export function Answered<T>(p: { answer: Data<T>; what: string; children: (data: T) => ComponentChildren }) {
  const { data, error, reload } = p.answer;
  return (
    <>
      <ErrorBox error={error} stale={data !== null} retry={reload} />
      {data ? p.children(data) : error ? null : <Loading what={p.what} />}
    </>
  );
}

export function PairLink(p: { mesh: string; class: string; source: string; target: string; text?: string }) {
  return (
    <a class="pair-link" href={href('pair', { mesh: p.mesh, class: p.class, source: p.source, target: p.target })}>
      {p.text ?? `${p.source} > ${p.target}`}
    </a>
  );
}
