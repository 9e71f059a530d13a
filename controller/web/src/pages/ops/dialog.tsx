/* Changes are asked for in a dialog: what will happen, by whom, why; the controller's refusal stands in it, beside what was asked. The
 * dialog belongs to the page and not to the row that it was opened from: rows come and go while somebody types. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { useLive } from '../../live/hooks';
import { session, useSession, whyNot, type Role } from '../../session';
import { ErrorBox } from '../../ui/parts';

export interface DialogField {
  key: string;
  label: string;
  value?: string;
  hint?: string;
  required?: boolean;
  choices?: readonly string[]; // to press instead of typing
  means?: (text: string) => string; // what the text comes to, said while one types
}

export interface DialogSpec {
  title: string;
  text?: ComponentChildren;
  fields?: readonly DialogField[];
  reason?: 'wanted' | 'needed';
  submit: string;
  danger?: boolean;
  type?: string; // has to be typed before: for what cannot be undone
  run: (values: Record<string, string>, author: string) => Promise<string>; // what was done, in words
  done?: () => void;
}

const AUTHOR = 'twampmesh.author';

export function author(): string {
  const { who } = session.state;
  if (who?.by === 'session' && who.name) return who.name;
  try {
    return localStorage.getItem(AUTHOR) ?? '';
  } catch {
    return '';
  }
}
export function keepAuthor(name: string): void {
  try {
    localStorage.setItem(AUTHOR, name);
  } catch {
    // no storage: it has to be typed again
  }
}

let shown: DialogSpec | null = null;
let notice = '';
const listeners = new Set<() => void>();
function changed(): void {
  for (const fn of listeners) fn();
}

export function ask(spec: DialogSpec): void {
  shown = spec;
  changed();
}
export function say(text: string): void {
  notice = text;
  changed();
}

/* '': somebody at this page may do what that role may; else why not. */
export function useWhyNot(need: Role = 'operator'): string {
  const { write } = useLive();
  const { who } = useSession();
  if (who) return whyNot(who, need);
  return write === false ? 'Read-only: the controller takes no changes from here' : '';
}

/* Opens a dialog; off for those who may not. Beside it, or in the head of its table, stands a ReadOnly. */
export function Ask(p: { label: string; about?: string; spec: () => DialogSpec | Promise<DialogSpec>; danger?: boolean; small?: boolean; need?: Role }) {
  const operator = useWhyNot();
  const why = useWhyNot(p.need);
  const [error, setError] = useState<Error | null>(null);
  const open = async () => {
    setError(null);
    try {
      ask(await p.spec());
    } catch (e) {
      setError(e instanceof Error ? e : new Error(String(e)));
    }
  };
  return (
    <>
      <button
        type="button"
        class={`${p.danger ? 'danger' : ''} ${p.small ? 'small' : ''}`}
        disabled={!!why}
        {...(why ? { title: why } : {})}
        {...(operator ? { 'aria-describedby': 'read-only' } : {})}
        onClick={() => void open()}
      >
        {p.label}
        {p.about ? <span class="sr-only"> {p.about}</span> : null}
      </button>
      <ErrorBox error={error} />
    </>
  );
}

export function ReadOnly(p: { id?: boolean; need?: Role }) {
  const why = useWhyNot(p.need);
  if (!why) return null;
  return (
    <span class="read-only" {...(p.id ? { id: 'read-only' } : {})}>
      <span class="sign" aria-hidden="true">
        {'\u2298'}
      </span>
      {why}
    </span>
  );
}

export function DialogHost() {
  const [, redraw] = useState(0);
  useEffect(() => {
    const fn = () => redraw((n) => n + 1);
    listeners.add(fn);
    return () => {
      listeners.delete(fn);
      shown = null;
      notice = '';
    };
  }, []);
  return (
    <>
      <div class="notice" role="status">
        {notice ? (
          <>
            <span class="tone-ok sign" aria-hidden="true">
              {'\u2713'}
            </span>
            <span>{notice}</span>
            <button type="button" class="small" onClick={() => say('')}>
              Close<span class="sr-only"> this message</span>
            </button>
          </>
        ) : null}
      </div>
      {shown ? <Dialog key={shown.title} spec={shown} close={() => ((shown = null), changed())} /> : null}
    </>
  );
}

function Dialog({ spec, close }: { spec: DialogSpec; close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [values, setValues] = useState<Record<string, string>>(() => Object.fromEntries((spec.fields ?? []).map((f) => [f.key, f.value ?? ''])));
  const [who, setWho] = useState(author);
  const [typed, setTyped] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const set = (key: string, value: string) => setValues((old) => ({ ...old, [key]: value }));
  const ready = !busy && (!spec.type || typed === spec.type);

  const submit = async (e: Event) => {
    e.preventDefault();
    setBusy(true);
    setError(null);
    keepAuthor(who.trim());
    try {
      const text = await spec.run(values, who.trim());
      close();
      say(text);
      spec.done?.();
    } catch (err) {
      setError(err instanceof Error ? err : new Error(String(err)));
      setBusy(false);
    }
  };

  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="dialog-title" onClose={close} onCancel={() => undefined}>
      <form method="dialog" onSubmit={(e) => void submit(e)}>
        <h2 id="dialog-title">{spec.title}</h2>
        {spec.text ? <div class="dialog-text">{spec.text}</div> : null}
        {(spec.fields ?? []).map((f) => (
          <FieldRow key={f.key} field={f} value={values[f.key] ?? ''} set={(v) => set(f.key, v)} />
        ))}
        {spec.reason ? (
          <label class="row-field">
            <span>Reason</span>
            <input value={values.reason ?? ''} required={spec.reason === 'needed'} placeholder="ticket, why" onInput={(e) => set('reason', e.currentTarget.value)} />
          </label>
        ) : null}
        <label class="row-field">
          <span>Your name</span>
          <input value={who} autoComplete="username" placeholder="kept in this browser" onInput={(e) => setWho(e.currentTarget.value)} />
        </label>
        {spec.type ? (
          <label class="row-field">
            <span>
              Type <strong>{spec.type}</strong> to confirm
            </span>
            <input value={typed} autoComplete="off" onInput={(e) => setTyped(e.currentTarget.value)} />
          </label>
        ) : null}
        <ErrorBox error={error} />
        <div class="dialog-buttons">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class={spec.danger ? 'danger primary' : 'primary'} disabled={!ready}>
            {busy ? 'Sending...' : spec.submit}
          </button>
        </div>
      </form>
    </dialog>
  );
}

function FieldRow({ field: f, value, set }: { field: DialogField; value: string; set: (v: string) => void }) {
  return (
    <div class="row-field">
      <label>
        <span>{f.label}</span>
        <input value={value} required={f.required} autoComplete="off" spellcheck={false} onInput={(e) => set(e.currentTarget.value)} />
      </label>
      {f.choices ? (
        <span class="choices">
          {f.choices.map((c) => (
            <button key={c} type="button" class="small" aria-pressed={value === c} onClick={() => set(c)}>
              {c}
            </button>
          ))}
        </span>
      ) : null}
      {f.means || f.hint ? <span class="dim">{(f.means && value ? f.means(value) : '') || f.hint}</span> : null}
    </div>
  );
}
