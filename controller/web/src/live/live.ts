/* The live state of this page: one event stream to the controller, what it said last, and how old that is.
 *
 * Events tell only that something is new (a version by topic); pages fetch what they show themselves, through useApi(). While the
 * stream is down nobody asks for anything: one attempt at a time to connect again, with growing pauses. Where the controller refuses the
 * stream (too many pages, or an older controller) pages are refreshed every POLL_MS instead, and that is shown. */
import { ApiError, send, serverNow } from '../api/client';
import { millis } from '../format';
import { EventParser, type ServerEvent } from './sse';

export type Topic = 'published' | 'alerts' | 'schedule' | 'agents' | 'tests';
export const TOPICS: readonly Topic[] = ['published', 'alerts', 'schedule', 'agents', 'tests'];

/* connecting: the first attempt. live. lost: no connection. refused: there is a controller, but no stream for us. */
export type Link = 'connecting' | 'live' | 'lost' | 'refused';

export interface LiveState {
  link: Link;
  changedMs: number; // since when `link` is what it is, by the browser's clock
  reason: string; // of lost and refused
  nextTryMs: number | null;
  publishedAt: number | null; // the newest data of the controller, by its clock
  controller: string; // its name
  version: string; // of its software
  boot: string;
  write: boolean | null; // whether it takes changes; null: not known yet
  restarts: number; // times that the controller came back as another process while this page was open
  versions: Record<Topic, number>;
}

export const SILENCE_MS = 40_000; // the stream has a comment every 15 s
export const POLL_MS = 30_000;
const FIRST_PAUSE_MS = 500;
const LAST_PAUSE_MS = 30_000;

/* Full jitter from the second attempt on, so that a restarted controller does not get everybody at once. */
export function pauseMs(attempt: number, random: number): number {
  const top = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt, 10));
  return Math.round(top / 2 + (top / 2) * random);
}

function fresh(): LiveState {
  return {
    link: 'connecting',
    changedMs: Date.now(),
    reason: '',
    nextTryMs: null,
    publishedAt: null,
    controller: '',
    version: '',
    boot: '',
    write: null,
    restarts: 0,
    versions: { published: 0, alerts: 0, schedule: 0, agents: 0, tests: 0 },
  };
}

export class Live {
  state: LiveState = fresh();
  private listeners = new Set<() => void>();
  private attempt = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private stop: AbortController | null = null;
  private heardMs = 0;
  private started = false;
  private halted = false;
  private theirs: Partial<Record<Topic, number>> = {}; // the controller's versions that we know of

  subscribe(fn: () => void): () => void {
    this.listeners.add(fn);
    return () => this.listeners.delete(fn);
  }

  start(): void {
    if (this.started) return;
    this.started = true;
    addEventListener('online', () => this.retryNow());
    void this.connect();
    setInterval(() => this.watch(), 5_000);
  }

  /* Nobody is logged in: nothing is asked until go(). */
  halt(): void {
    this.halted = true;
    clearTimeout(this.timer);
    this.stop?.abort(new Error('logged out'));
    if (this.state.link !== 'connecting') this.set({ link: 'connecting', reason: '', nextTryMs: null });
  }

  go(): void {
    const again = this.halted;
    this.halted = false;
    if (!this.started) this.start();
    else if (again && !this.stop) void this.connect();
  }

  /* The reader's own wish, or the browser's news that there is a network again. */
  retryNow(): void {
    if (this.state.link === 'live' || this.stop || this.halted) return;
    clearTimeout(this.timer);
    this.attempt = 0;
    void this.connect();
  }

  private set(change: Partial<LiveState>): void {
    const link = change.link ?? this.state.link;
    const changedMs = link === this.state.link ? this.state.changedMs : Date.now();
    this.state = { ...this.state, ...change, changedMs };
    for (const fn of this.listeners) fn();
  }

  /* A proxy may keep a dead connection open: silence is an end, too. */
  private watch(): void {
    if (this.state.link === 'live' && Date.now() - this.heardMs > SILENCE_MS) this.stop?.abort(new Error(`nothing heard for ${SILENCE_MS / 1000} s`));
  }

  private async connect(): Promise<void> {
    const stop = new AbortController();
    this.stop = stop;
    let reason = 'the controller closed the connection';
    let refused: ApiError | null = null;
    try {
      const response = await send('/api/v1/events', { headers: { Accept: 'text/event-stream' }, cache: 'no-store', signal: stop.signal });
      await this.read(response);
    } catch (e) {
      reason = stop.signal.aborted ? String((stop.signal.reason as Error).message) : e instanceof Error ? e.message : String(e);
      if (e instanceof ApiError && e.status > 0) refused = e;
    }
    this.stop = null;
    if (this.halted) return;
    if (stop.signal.aborted && reason === 'logged out') void this.connect(); // and in again meanwhile
    else this.wait(reason, refused);
  }

  private async read(response: Response): Promise<void> {
    const reader = response.body?.getReader();
    if (!reader) throw new Error('this browser cannot read streams');
    const text = new TextDecoder();
    const parser = new EventParser((e) => this.on(e));
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.heardMs = Date.now();
      parser.push(text.decode(value, { stream: true }));
    }
  }

  private wait(reason: string, refused: ApiError | null): void {
    const pause = refused ? Math.max(refused.retryAfterMs ?? 0, POLL_MS) : pauseMs(this.attempt++, Math.random());
    this.set({ link: refused ? 'refused' : 'lost', reason, nextTryMs: Date.now() + pause });
    if (refused) this.bump(TOPICS);
    this.timer = setTimeout(() => void this.connect(), pause);
  }

  private bump(topics: readonly Topic[]): void {
    const versions = { ...this.state.versions };
    for (const t of topics) versions[t]++;
    this.set({ versions });
  }

  private on(e: ServerEvent): void {
    let data: Record<string, unknown>;
    try {
      data = JSON.parse(e.data) as Record<string, unknown>;
    } catch {
      return; // not for us
    }
    if (e.event === 'hello') this.hello(data);
    else if ((TOPICS as readonly string[]).includes(e.event)) this.news(e.event as Topic, data);
  }

  private hello(data: Record<string, unknown>): void {
    const boot = String(data.boot_id ?? '');
    const restarted = this.state.boot !== '' && boot !== this.state.boot;
    const theirs = (data.versions ?? {}) as Partial<Record<Topic, number>>;
    const missed = TOPICS.filter((t) => restarted || theirs[t] !== this.theirs[t]);
    const again = this.state.link !== 'connecting';
    this.attempt = 0;
    this.theirs = theirs;
    this.set({
      link: 'live',
      reason: '',
      nextTryMs: null,
      controller: String(data.controller ?? ''),
      version: String(data.version ?? ''),
      boot,
      write: typeof data.http_write === 'boolean' ? data.http_write : null,
      restarts: this.state.restarts + (restarted ? 1 : 0),
    });
    // Each page at a time of its own, so that a controller that came back is not asked by all at once.
    if (again && missed.length) setTimeout(() => this.bump(missed), Math.random() * 1500);
  }

  private news(topic: Topic, data: Record<string, unknown>): void {
    const known = typeof data.version === 'number' && data.version === this.theirs[topic];
    if (typeof data.version === 'number') this.theirs[topic] = data.version;
    if (topic === 'published') this.set({ publishedAt: millis(data.at as string | null) ?? serverNow() });
    if (!known) this.bump([topic]);
  }
}

export const live = new Live();
