/* Mesh documents as text: edited, planned, then applied. What is applied is exactly what was planned. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, get, post } from '../../api/client';
import { plural } from '../../format';
import { setQuery, useRoute } from '../../router';
import { Check, ErrorBox, Loading, Section, Select } from '../../ui/parts';
import { ReadOnly, author, keepAuthor, say, useWhyNot } from '../ops/dialog';
import { useData } from '../ops/parts';
import type { Applied, DocumentError, Mesh, Plan } from '../ops/types';
import { diff } from './diff';
import { Diff, PlanView } from './plan';

const NEW = `mesh: NAME
description: what it is for
topology: full
members: ["@all"]
groups:
  all: { select: "*" }
classes:
  voice: { dscp: EF, spacing: 100ms, size: 200 }
`;
export const ALL = '*';
const MOST_PAIRS = 200;

/* What is written and not applied yet outlives going to another page, as long as the tab is open. */
const drafts = new Map<string, { text: string; base: string; generation: number }>();

interface Asked {
  text: string;
  prune: boolean;
  force: boolean;
}
interface Outcome {
  asked: Asked;
  plan: Plan | null;
  unchanged: boolean;
  error: Error | null;
  where: DocumentError | null;
}

export async function loaded(which: string): Promise<{ text: string; generation: number }> {
  if (which === '') return { text: '', generation: 0 };
  let text = '';
  let generation = 0;
  for (let after = ''; ; ) {
    const part = await get<{ generation: number; truncated: boolean; meshes: { mesh: string; text: string }[] }>('export', which === ALL ? { after } : { name: which });
    for (const m of part.meshes) text += (text ? '---\n' : '') + m.text;
    generation = part.generation;
    const last = part.meshes[part.meshes.length - 1];
    if (!part.truncated || !last) return { text, generation };
    after = last.mesh;
  }
}

async function send(asked: Asked, plan: boolean, who: string, reason: string): Promise<Applied> {
  const body = { document: asked.text, file: 'page', plan_only: plan, prune: asked.prune, force: asked.force, max_pairs: plan ? MOST_PAIRS : 0, author: who, reason };
  return post<Applied>('schedule', body);
}

async function outcome(asked: Asked): Promise<Outcome> {
  try {
    const a = await send(asked, true, '', '');
    return { asked, plan: a.plan, unchanged: a.unchanged, error: null, where: null };
  } catch (e) {
    const body = e instanceof ApiError && e.body && typeof e.body === 'object' ? (e.body as Partial<Applied>) : {};
    const where = body.error && typeof body.error === 'object' ? body.error : null;
    return { asked, plan: body.plan ?? null, unchanged: false, error: e instanceof Error ? e : new Error(String(e)), where };
  }
}

/* The line that is wrong with a caret below, as twampctl shows it. */
function Snippet(p: { text: string; where: DocumentError; show: () => void }) {
  const line = p.text.split('\n')[p.where.line - 1];
  if (!p.where.line || line === undefined) return null;
  const number = String(p.where.line).padStart(5);
  return (
    <>
      <pre class="snippet">
        <span>{`${number} | ${line}`}</span>
        <span class="tone-critical">{`${' '.repeat(number.length)} | ${' '.repeat(Math.max(0, p.where.column - 1))}^`}</span>
      </pre>
      <button type="button" class="small" onClick={p.show}>
        Go to line {p.where.line}
      </button>
    </>
  );
}

function same(a: Asked, b: Asked): boolean {
  return a.text === b.text && a.prune === b.prune && a.force === b.force;
}

/* The text of `which`, as it runs and as it is edited. */
function useDocument(which: string) {
  const [doc, setDoc] = useState(() => drafts.get(which) ?? null);
  const [error, setError] = useState<Error | null>(null);
  const load = async () => {
    setError(null);
    try {
      const now = await loaded(which);
      const next = { text: now.text || (which === '' ? NEW : ''), base: now.text, generation: now.generation };
      drafts.set(which, next);
      setDoc(next);
    } catch (e) {
      setError(e instanceof Error ? e : new Error(String(e)));
    }
  };
  useEffect(() => {
    const draft = drafts.get(which) ?? null;
    setDoc(draft);
    setError(null);
    if (!draft || draft.text === draft.base) void load();
  }, [which]);
  const edit = (text: string) => {
    if (!doc) return;
    const next = { ...doc, text };
    drafts.set(which, next);
    setDoc(next);
  };
  return { doc, error, load, edit };
}

function Apply(p: { planned: Outcome; done: () => void }) {
  const readOnly = useWhyNot() !== '';
  const [who, setWho] = useState(author);
  const [reason, setReason] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const plan = p.planned.plan!;
  const apply = async (e: Event) => {
    e.preventDefault();
    setBusy(true);
    setError(null);
    keepAuthor(who.trim());
    try {
      const a = await send(p.planned.asked, false, who.trim(), reason);
      say(a.unchanged ? 'Unchanged: this runs already.' : `Applied: generation ${a.generation}. The rollout shows which agents run it.`);
      p.done();
    } catch (err) {
      setError(err instanceof Error ? err : new Error(String(err)));
    }
    setBusy(false);
  };
  return (
    <form class="bar" onSubmit={(e) => void apply(e)}>
      <label class="field">
        <span>Reason</span>
        <input value={reason} placeholder="ticket, why" onInput={(e) => setReason(e.currentTarget.value)} />
      </label>
      <label class="field">
        <span>Your name</span>
        <input value={who} autoComplete="username" onInput={(e) => setWho(e.currentTarget.value)} />
      </label>
      <button type="submit" class={plan.removed || p.planned.asked.force ? 'danger primary' : 'primary'} disabled={busy || readOnly}>
        {busy ? 'Applying...' : `Apply: ${plural(plan.added + plan.changed + plan.removed, 'pair')} ${plan.added + plan.changed + plan.removed === 1 ? 'changes' : 'change'}`}
      </button>
      <ReadOnly />
      <ErrorBox error={error} />
    </form>
  );
}

export function Editor(p: { meshes: readonly Mesh[]; generation: number; reload: () => void }) {
  const which = useRoute().query.get('mesh') ?? '';
  const readOnly = useWhyNot() !== '';
  const { doc, error, load, edit } = useDocument(which);
  const [prune, setPrune] = useState(false);
  const [force, setForce] = useState(false);
  const [planned, setPlanned] = useState<Outcome | null>(null);
  const [busy, setBusy] = useState(false);
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => setPlanned(null), [which]);

  const asked: Asked = { text: doc?.text ?? '', prune, force };
  const current = planned !== null && same(planned.asked, asked);
  const plan = async () => {
    setBusy(true);
    setPlanned(await outcome(asked));
    setBusy(false);
  };
  const toLine = () => {
    const at = (doc?.text ?? '').split('\n').slice(0, (planned?.where?.line ?? 1) - 1).join('\n').length;
    area.current?.focus();
    area.current?.setSelectionRange(at + (at ? 1 : 0), at + (at ? 1 : 0) + (planned?.where?.column ?? 1) - 1);
  };
  const applied = () => {
    drafts.delete(which);
    setPlanned(null);
    void load();
    p.reload();
  };
  const options = [['', 'a new mesh'], ...p.meshes.map((m) => [m.name, m.name]), ...(p.meshes.length > 1 ? [[ALL, 'all meshes']] : [])] as [string, string][];
  const edited = doc !== null && doc.text !== doc.base;

  return (
    <>
      <div class="bar">
        <Select label="Document" value={which} options={options.some(([v]) => v === which) ? options : [...options, [which, `${which} (no such mesh)`]]} onChange={(v) => setQuery({ mesh: v || null })} />
        <button type="button" disabled={!edited} onClick={() => (drafts.delete(which), setPlanned(null), void load())}>
          Discard my changes
        </button>
        {which === ALL ? <Check label="Delete meshes that are not in the text (prune)" checked={prune} onChange={setPrune} /> : null}
        <Check label="Go past the controller's budgets (force)" checked={force} onChange={setForce} hint="never past an agent's own limits" />
        <button type="button" class="primary" disabled={busy || !doc || readOnly} onClick={() => void plan()}>
          {busy ? 'Planning...' : 'Plan'}
        </button>
        <ReadOnly />
      </div>
      <ErrorBox error={error} retry={() => void load()} />
      {doc && doc.generation && doc.generation < p.generation && edited ? (
        <p class="tone-warning">The schedule has gone on to generation {p.generation} since this text was fetched (generation {doc.generation}). The plan reckons with what runs now.</p>
      ) : null}
      {doc ? (
        <div class="editor">
          <div>
            <label class="sr-only" for="document">
              Mesh document, YAML
            </label>
            <textarea id="document" ref={area} value={doc.text} spellcheck={false} autoCapitalize="off" onInput={(e) => edit(e.currentTarget.value)} onKeyDown={(e) => (e.ctrlKey || e.metaKey) && e.key === 'Enter' && !readOnly && void plan()} />
            <p class="dim">Ctrl+Enter plans. Several documents: a line --- between them. What is written stays while this tab is open.</p>
          </div>
          <div class="side" aria-live="polite">
            {planned && !current ? <p class="tone-warning">The text has changed since it was planned: plan it again.</p> : null}
            {current && planned ? (
              <>
                {planned.plan?.excesses.length ? null : <ErrorBox error={planned.error} />}
                {planned.where ? <Snippet text={planned.asked.text} where={planned.where} show={toLine} /> : null}
                {planned.unchanged ? <p class="tone-ok">{'\u2713'} This runs already: nothing would change.</p> : null}
                {planned.plan && !planned.error && !planned.unchanged ? <Apply planned={planned} done={applied} /> : null}
                {planned.plan ? <PlanView plan={planned.plan} /> : null}
              </>
            ) : null}
            <Section title={which ? 'Against what runs' : 'Against nothing'}>
              <Diff lines={diff(doc.base, doc.text)} label="Changed lines" none="Nothing is changed yet." />
            </Section>
          </div>
        </div>
      ) : error ? null : (
        <Loading what="the document" />
      )}
    </>
  );
}

/* The meshes for the choice come with the page; asked again with news of the schedule. */
export function useSchedule() {
  return useData<{ generation: number; meshes: Mesh[] }>('schedule', {}, 'schedule');
}
