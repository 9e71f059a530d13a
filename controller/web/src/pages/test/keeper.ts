/* Tests that were started here. The controller stops a test that nobody has asked for in 5 s, so this is the one place of the page that
 * asks by a timer: once a second, only while such a test runs, wherever in the page the reader is. */
import { ApiError, get, post } from '../../api/client';
import type { Probe, Progress, Test } from '../ops/types';

const EVERY_MS = 1000;
const MOST_PROBES = 3000; // kept to draw

export interface Kept {
  progress: Progress | null;
  error: Error | null;
  probes: Probe[]; // of a test of one pair, in order of sending
  over: boolean;
}

/* Stopping: what was measured is still on its way. */
export function going(state: string): boolean {
  return state === 'running' || state === 'stopping';
}

type Ask = <T>(path: string, query?: Record<string, string | number | boolean | null>) => Promise<T>;

/* Adds what is new to what is known: a probe whose fate was unknown comes again. */
export function merge(known: readonly Probe[], news: readonly Probe[]): Probe[] {
  const by = new Map(known.map((p) => [p.seq, p]));
  for (const p of news) by.set(p.seq, p);
  return [...by.values()].sort((a, b) => a.seq - b.seq).slice(-MOST_PROBES);
}

/* From when on to ask: the first probe whose fate is not known, else the last one known. */
export function from(known: readonly Probe[]): string | null {
  const open = known.find((p) => p.fate === 'in_flight') ?? known[known.length - 1];
  return open?.t1 ?? null;
}

export class Keeper {
  private tests = new Map<number, Kept>();
  private listeners = new Set<() => void>();
  constructor(
    private readonly ask: Ask = get as Ask,
    private readonly every = EVERY_MS,
  ) {}

  subscribe(fn: () => void): () => void {
    this.listeners.add(fn);
    return () => this.listeners.delete(fn);
  }
  get(id: number): Kept | null {
    return this.tests.get(id) ?? null;
  }

  keep(test: Test): void {
    if (this.tests.has(test.test_id)) return;
    this.tests.set(test.test_id, { progress: null, error: null, probes: [], over: false });
    void this.run(test.test_id);
  }

  async stop(id: number): Promise<void> {
    await post(`tests/${id}/stop`, {});
  }

  private async run(id: number): Promise<void> {
    for (;;) {
      await this.look(id);
      if (this.tests.get(id)?.over) return;
      await new Promise((resolve) => setTimeout(resolve, this.every));
    }
  }

  private async look(id: number): Promise<void> {
    const kept = this.tests.get(id)!;
    try {
      const single = kept.progress === null || kept.progress.info.runs === 1;
      const progress = await this.ask<Progress>(`tests/${id}/progress`, { runs: true, packets: single, packets_from: single ? from(kept.probes) : null });
      // An answer is one frame: of a large mesh the pairs come in parts.
      for (let next = progress.next_run; next; ) {
        const part = await this.ask<Progress>(`tests/${id}/progress`, { runs: true, from_run: next });
        progress.runs.push(...part.runs);
        next = part.next_run;
      }
      const news = progress.packets?.flatMap((f) => (f.flow === 0 ? f.records : [])) ?? [];
      this.tests.set(id, { progress, error: null, probes: merge(kept.probes, news), over: !going(progress.info.state) });
    } catch (e) {
      // It is gone (404), or the controller is for a moment: then the next time.
      const error = e instanceof Error ? e : new Error(String(e));
      this.tests.set(id, { ...kept, error, over: e instanceof ApiError && e.status === 404 });
    }
    for (const fn of this.listeners) fn();
  }
}

export const keeper = new Keeper();
