/* Who is at this page, by what the controller says (/api/v1/whoami): its session is a cookie that scripts cannot see; what changes something
 * carries a text besides that only this page is told. The controller decides what somebody may do; here it is only shown. */
import { useEffect, useState } from 'preact/hooks';
import { ApiError, get, headers, onUnauthorized, post } from './api/client';

export type Role = 'nobody' | 'viewer' | 'operator' | 'admin';
const ROLES: readonly Role[] = ['nobody', 'viewer', 'operator', 'admin'];

export interface Who {
  name: string | null;
  role: Role;
  by: 'session' | 'token' | 'address' | 'nothing'; // how the controller knows
  tokens: boolean; // whether anybody has an access token: else there is nothing to log in with
  csrf: string | null;
  session_ends: string | null;
}

export interface SessionState {
  who: Who | null; // null: the controller has not said, or is older
  note: string; // why one has to log in again
}

export function atLeast(role: Role, need: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(need);
}

/* Why somebody may not, in words; '': they may. */
export function whyNot(who: Who, need: Role): string {
  if (atLeast(who.role, need)) return '';
  const article = need === 'viewer' ? 'a' : 'an';
  if (who.by === 'address') return `Read-only: without an access token one may only look; this needs ${article} ${need}`;
  return `Read-only: ${who.name ?? 'this'} is ${who.role === 'viewer' ? 'a' : 'an'} ${who.role}; this needs ${article} ${need}`;
}

class Session {
  state: SessionState = { who: null, note: '' };
  private listeners = new Set<() => void>();
  private asking: Promise<void> | null = null;

  subscribe(fn: () => void): () => void {
    this.listeners.add(fn);
    return () => this.listeners.delete(fn);
  }

  start(): Promise<void> {
    onUnauthorized(() => void this.load());
    // Another tab may have logged in or out.
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) void this.load();
    });
    return this.load();
  }

  load(): Promise<void> {
    this.asking ??= this.ask().finally(() => (this.asking = null));
    return this.asking;
  }

  private async ask(): Promise<void> {
    try {
      this.take(await get<Who>('whoami'));
    } catch {
      // no answer: what is known stays, and the page says that there is no connection
    }
  }

  async login(token: string): Promise<void> {
    this.take(await post<Who>('login', { token }));
  }

  async logout(): Promise<void> {
    try {
      await post<Who>('logout', {});
    } catch (e) {
      if (!(e instanceof ApiError) || e.status === 0) throw e;
    }
    this.state = { who: null, note: '' }; // that it ended is no surprise
    await this.load();
  }

  private take(who: Who): void {
    const before = this.state.who;
    const ended = before?.by === 'session' && who.role === 'nobody';
    if (who.csrf) headers['X-Csrf-Token'] = who.csrf;
    else delete headers['X-Csrf-Token'];
    this.state = { who, note: ended ? 'The session has ended: its time was over, or its access token works no more.' : who.role === 'nobody' ? this.state.note : '' };
    for (const fn of this.listeners) fn();
  }
}

export const session = new Session();

export function useSession(): SessionState {
  const [state, setState] = useState(session.state);
  useEffect(() => {
    setState(session.state);
    return session.subscribe(() => setState(session.state));
  }, []);
  return state;
}
