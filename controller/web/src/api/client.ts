/* The only place that asks the controller. What all requests share is here: errors, the controller's clock, the header of a session, and what
 * it means that somebody is not known (401). */
import type { Query } from '../router';

export class ApiError extends Error {
  constructor(
    readonly status: number, // 0: no answer at all
    message: string,
    readonly retryAfterMs: number | null = null,
    readonly body: unknown = null, // what a refusal says beside `error`: a plan, what is wrong in which line
  ) {
    super(message);
  }
}

const READ_TIMEOUT_MS = 30_000;

/* Added to each request; session.ts puts its header here. */
export const headers: Record<string, string> = {};

/* Called when the controller does not know who asks: the session has ended, or there was none. Not for a login, which says so itself. */
let unauthorized: () => void = () => undefined;
export function onUnauthorized(fn: () => void): void {
  unauthorized = fn;
}

/* What the controller's clock is ahead of ours: ages are by its clock, since all times of its answers are. The header Date has
 * whole seconds, so the least difference ever seen is the best one. */
let offsetMs: number | null = null;
export function serverNow(): number {
  return Date.now() + (offsetMs ?? 0);
}
function learnClock(date: string | null, sentMs: number): void {
  const theirs = date ? Date.parse(date) : NaN;
  if (!Number.isFinite(theirs)) return;
  const low = theirs - Date.now();
  const high = theirs + 1000 - sentMs;
  if (offsetMs === null || offsetMs < low || offsetMs > high) offsetMs = low > 0 || high < 0 ? (low + high) / 2 : 0;
}

export function apiUrl(path: string, query: Query = {}): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(query))
    if (value !== null && value !== undefined && value !== '' && value !== false) params.set(key, String(value));
  const text = params.toString();
  return `/api/v1/${path}${text ? `?${text}` : ''}`;
}

/* A text, or of refused documents (422) where and what: { line, column, path, text, file }. */
function errorText(error: unknown): string {
  if (!error || typeof error !== 'object') return String(error ?? '');
  const e = error as { line?: number; column?: number; path?: string; text?: string };
  return [e.line ? `line ${e.line}${e.column ? `:${e.column}` : ''}` : '', e.path, e.text].filter(Boolean).join(': ');
}

async function failure(response: Response): Promise<ApiError> {
  let body: unknown = null;
  try {
    body = await response.json();
  } catch {
    // no JSON: the status has to do
  }
  const text = body && typeof body === 'object' && 'error' in body ? errorText(body.error) : '';
  const retry = Number(response.headers.get('Retry-After'));
  return new ApiError(response.status, text || `HTTP ${response.status} ${response.statusText}`.trim(), retry > 0 ? retry * 1000 : null, body);
}

/* Sends one request; what comes back is good (2xx), or an ApiError is thrown. An abort by the caller throws AbortError. */
export async function send(path: string, init: RequestInit): Promise<Response> {
  const sentMs = Date.now();
  let response: Response;
  try {
    response = await fetch(path, { credentials: 'same-origin', ...init, headers: { ...headers, ...init.headers } });
  } catch (e) {
    if (init.signal?.aborted) throw e;
    throw new ApiError(0, 'no answer from the controller');
  }
  learnClock(response.headers.get('Date'), sentMs);
  if (response.status === 401 && path !== apiUrl('login')) unauthorized();
  if (!response.ok) throw await failure(response);
  return response;
}

async function json<T>(path: string, init: RequestInit): Promise<T> {
  const timeout = AbortSignal.timeout(READ_TIMEOUT_MS);
  const stop = new AbortController();
  const abort = () => stop.abort();
  init.signal?.addEventListener('abort', abort);
  timeout.addEventListener('abort', abort);
  try {
    if (init.signal?.aborted) stop.abort();
    return (await (await send(path, { ...init, signal: stop.signal })).json()) as T;
  } catch (e) {
    if (timeout.aborted && !init.signal?.aborted) throw new ApiError(0, `no answer from the controller within ${READ_TIMEOUT_MS / 1000} s`);
    if (e instanceof SyntaxError) throw new ApiError(0, `the answer to ${path} is not JSON`);
    throw e;
  } finally {
    init.signal?.removeEventListener('abort', abort);
    timeout.removeEventListener('abort', abort);
  }
}

/* Reads. The browser asks again with the ETag that it has, so what did not change is not sent again. */
export function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  return json<T>(apiUrl(path, query), { cache: 'no-cache', ...(signal ? { signal } : {}) });
}

/* Changes. The controller takes them from who may, and from its own page; it says so otherwise. */
export function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  return json<T>(apiUrl(path), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });
}

export function del<T>(path: string, query: Query = {}): Promise<T> {
  return json<T>(apiUrl(path, query), { method: 'DELETE' });
}
