/* What to measure now. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { post } from '../../api/client';
import { go, setQuery, useRoute } from '../../router';
import { ErrorBox } from '../../ui/parts';
import { ReadOnly, author, keepAuthor, useWhyNot } from '../ops/dialog';
import { useData } from '../ops/parts';
import { nanos } from '../ops/text';
import type { Agent, Mesh, Test } from '../ops/types';
import { keeper } from './keeper';

/* Settings that take the place of what the class says, with the values of mesh documents. */
const settings: readonly (readonly [string, string, string])[] = [
  ['protocol', 'Protocol', 'light, stamp, twamp'],
  ['spacing', 'Spacing', '20ms'],
  ['size', 'Size', 'octets of UDP payload, or imix'],
  ['dscp', 'DSCP', 'EF, AF41, 0..63'],
  ['ttl', 'TTL', '255'],
  ['timeout', 'Timeout', '2s'],
  ['flows', 'Flows', '1'],
  ['bind', 'Bind', 'interface or address'],
];

export interface Wish {
  kind: string; // pair, mesh
  source: string;
  target: string;
  mesh: string;
  class: string;
  select: string;
  target_select: string;
  count: string;
  duration: string;
  parallel: string;
  settings: Record<string, string>;
}

/* The request; throws what was expected where something is no number or time. */
export function request(w: Wish, who: string): Record<string, unknown> {
  const number = (text: string, name: string) => {
    if (!/^\d+$/.test(text.trim())) throw new Error(`${name}: expected a whole number; got "${text}"`);
    return Number(text);
  };
  const ends = w.kind === 'mesh' ? { mesh: w.mesh, select: w.select, target_select: w.target_select } : { source: w.source, target: w.target };
  const chosen = Object.entries(w.settings).filter(([, v]) => v.trim());
  // Of one pair MESH/CLASS is the class of a document.
  const cls = w.kind === 'mesh' || !w.mesh || !w.class ? w.class : `${w.mesh}/${w.class}`;
  return {
    ...ends,
    class: cls,
    author: who,
    settings: chosen.map(([key, value]) => ({ key, value: value.trim() })),
    ...(w.count.trim() ? { count: number(w.count, 'Probes') } : {}),
    ...(w.duration.trim() ? { duration_ns: nanos(w.duration) } : {}),
    ...(w.kind === 'mesh' && w.parallel.trim() ? { parallel: number(w.parallel, 'At once') } : {}),
  };
}

function Input(p: { label: string; value: string; set: (v: string) => void; hint?: string; required?: boolean; list?: string; children?: ComponentChildren }) {
  return (
    <label title={p.hint}>
      <span>{p.label}</span>
      <input value={p.value} placeholder={p.hint} required={p.required} list={p.list} spellcheck={false} autoComplete="off" onInput={(e) => p.set(e.currentTarget.value)} />
    </label>
  );
}

function useNames() {
  const agents = useData<{ agents: Agent[] }>('agents', {}, 'schedule');
  const schedule = useData<{ meshes: Mesh[] }>('schedule', {}, 'schedule');
  return { agents: agents.data?.agents.filter((a) => a.state === 'up').map((a) => a.name) ?? [], meshes: schedule.data?.meshes ?? [], error: agents.error ?? schedule.error };
}

function Ends(p: { w: Wish; set: (change: Partial<Wish>) => void; meshes: readonly Mesh[]; agents: readonly string[] }) {
  const { w, set, meshes } = p;
  const classes = meshes.filter((m) => !w.mesh || m.name === w.mesh).flatMap((m) => m.classes);
  return (
    <>
      <datalist id="test-agents">
        {p.agents.map((a) => (
          <option key={a} value={a} />
        ))}
      </datalist>
      <datalist id="test-classes">
        {[...new Set(classes)].map((c) => (
          <option key={c} value={c} />
        ))}
      </datalist>
      {w.kind === 'pair' ? (
        <>
          <Input label="From the agent" value={w.source} set={(v) => set({ source: v })} list="test-agents" required />
          <Input label="To" value={w.target} set={(v) => set({ target: v })} list="test-agents" hint="agent, target, address or host name" required />
        </>
      ) : null}
      <label>
        <span>{w.kind === 'pair' ? 'As in mesh' : 'Mesh'}</span>
        <select value={w.mesh} required={w.kind === 'mesh'} onChange={(e) => set({ mesh: e.currentTarget.value })}>
          <option value="">{w.kind === 'pair' ? '(any)' : 'choose'}</option>
          {meshes.map((m) => (
            <option key={m.name} value={m.name}>
              {m.name}
            </option>
          ))}
        </select>
      </label>
      <Input label="Class" value={w.class} set={(v) => set({ class: v })} list="test-classes" hint={w.kind === 'pair' ? 'empty: defaults' : 'of the mesh'} required={w.kind === 'mesh'} />
      {w.kind === 'mesh' ? (
        <>
          <Input label="Only sources with" value={w.select} set={(v) => set({ select: v })} hint="site=ams" />
          <Input label="Only targets with" value={w.target_select} set={(v) => set({ target_select: v })} hint="site=fra" />
          <Input label="At once of one source" value={w.parallel} set={(v) => set({ parallel: v })} hint="2" />
        </>
      ) : null}
    </>
  );
}

export function TestForm() {
  const { query } = useRoute();
  const readOnly = useWhyNot() !== '';
  const names = useNames();
  const q = (key: string) => query.get(key) ?? '';
  const [w, setW] = useState<Wish>(() => ({
    kind: q('kind') === 'mesh' ? 'mesh' : 'pair',
    source: q('source'),
    target: q('target'),
    mesh: q('mesh'),
    class: q('class'),
    select: q('select'),
    target_select: q('target_select'),
    count: '',
    duration: '10s',
    parallel: '',
    settings: {},
  }));
  const [who, setWho] = useState(author);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const set = (change: Partial<Wish>) => setW((old) => ({ ...old, ...change }));

  const start = async (e: Event) => {
    e.preventDefault();
    setBusy(true);
    setError(null);
    keepAuthor(who.trim());
    try {
      const { info } = await post<{ info: Test }>('tests', request(w, who.trim()));
      keeper.keep(info);
      setQuery({ kind: w.kind === 'mesh' ? 'mesh' : null, source: w.source, target: w.target, mesh: w.mesh, class: w.class }, { replace: true });
      go('test', { id: info.test_id });
    } catch (err) {
      setError(err instanceof Error ? err : new Error(String(err)));
      setBusy(false);
    }
  };

  return (
    <form onSubmit={(e) => void start(e)} aria-label="New test">
      <div class="bar" role="radiogroup" aria-label="What to test">
        {(
          [
            ['pair', 'one pair'],
            ['mesh', 'pairs of a mesh'],
          ] as const
        ).map(([kind, text]) => (
          <label key={kind} class="check">
            <input type="radio" name="kind" checked={w.kind === kind} onChange={() => set({ kind })} />
            <span>{text}</span>
          </label>
        ))}
      </div>
      <div class="form-grid">
        <Ends w={w} set={set} meshes={names.meshes} agents={names.agents} />
        <Input label="For" value={w.duration} set={(v) => set({ duration: v })} hint="10s" />
        <Input label="or so many probes" value={w.count} set={(v) => set({ count: v })} hint="whichever ends first" />
        <Input label="Your name" value={who} set={setWho} />
      </div>
      <details>
        <summary>Settings other than those of the class</summary>
        <div class="form-grid">
          {settings.map(([key, label, hint]) => (
            <Input key={key} label={label} hint={hint} value={w.settings[key] ?? ''} set={(v) => set({ settings: { ...w.settings, [key]: v } })} />
          ))}
        </div>
      </details>
      <ErrorBox error={error ?? names.error} />
      <div class="bar">
        <button type="submit" class="primary" disabled={busy || readOnly}>
          {busy ? 'Starting...' : 'Start'}
        </button>
        <ReadOnly />
      </div>
    </form>
  );
}
