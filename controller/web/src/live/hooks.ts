import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, get, serverNow } from '../api/client';
import type { Query } from '../router';
import { live, type LiveState, type Topic } from './live';

export function useLive(): LiveState {
  const [state, setState] = useState(live.state);
  useEffect(() => {
    setState(live.state);
    return live.subscribe(() => setState(live.state));
  }, []);
  return state;
}

/* The controller's clock, for ages. */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(serverNow);
  useEffect(() => {
    const timer = setInterval(() => setNow(serverNow()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

export interface Answer<T> {
  data: T | null; // the last good answer to this question; kept while a newer one is on its way or has failed
  error: ApiError | null;
  loading: boolean;
  reload: () => void;
}

const LEAST_PAUSE_MS = 1000;

/* Asks the API, and again when `topic` has news: one request at a time, at most one a second, none while nobody looks at the page. */
export function useApi<T>(path: string | null, query: Query = {}, topic: Topic | null = null): Answer<T> {
  const key = path === null ? null : `${path}?${JSON.stringify(query)}`;
  const [answer, setAnswer] = useState<{ key: string | null; data: T | null; error: ApiError | null }>({ key: null, data: null, error: null });
  const [loading, setLoading] = useState(false);
  const kick = useRef<() => void>(() => undefined);

  useEffect(() => {
    if (path === null) return undefined;
    const stop = new AbortController();
    let busy = false;
    let again = false;
    let lastMs = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      if (busy || document.hidden) {
        again = true;
        return;
      }
      busy = true;
      again = false;
      lastMs = Date.now();
      setLoading(true);
      try {
        const data = await get<T>(path, query, stop.signal);
        if (!stop.signal.aborted) setAnswer({ key, data, error: null });
      } catch (e) {
        if (stop.signal.aborted) return;
        const error = e instanceof ApiError ? e : new ApiError(0, String(e));
        setAnswer((old) => ({ key, data: old.key === key ? old.data : null, error }));
      } finally {
        busy = false;
        if (!stop.signal.aborted) setLoading(false);
      }
      if (again && !stop.signal.aborted) later();
    };
    const later = () => {
      clearTimeout(timer);
      timer = setTimeout(() => void ask(), Math.max(0, lastMs + LEAST_PAUSE_MS - Date.now()));
    };
    const onShow = () => {
      if (!document.hidden && again) later();
    };
    let seen = topic ? live.state.versions[topic] : 0;
    const off = live.subscribe(() => {
      const version = topic ? live.state.versions[topic] : 0;
      if (version === seen) return;
      seen = version;
      later();
    });
    kick.current = later;
    document.addEventListener('visibilitychange', onShow);
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
      off();
      document.removeEventListener('visibilitychange', onShow);
    };
    // `query` is part of key
  }, [key, topic]);

  const reload = useCallback(() => kick.current(), []);
  const mine = answer.key === key;
  return { data: mine ? answer.data : null, error: mine ? answer.error : null, loading: loading || !mine, reload };
}
