/* Whether what is on the page is alive: the small sign in the header, and the band below it when it is not. */
import { serverNow } from '../api/client';
import { ago, span, time } from '../format';
import { useLive, useNow } from '../live/hooks';
import { live, type LiveState } from '../live/live';

/* Data older than this is called old, whatever the connection says: mostly report periods are 10 s. */
export const OLD_MS = 60_000;

export function linkWord(s: LiveState, nowMs: number): { word: string; tone: string; sign: string } {
  if (s.link === 'connecting') return { word: 'connecting', tone: 'unknown', sign: '\u2026' };
  if (s.link === 'lost') return { word: 'no connection', tone: 'critical', sign: '\u2715' };
  if (s.link === 'refused') return { word: 'not live', tone: 'warning', sign: '!' };
  if (s.publishedAt !== null && nowMs - s.publishedAt > OLD_MS) return { word: 'live, no new data', tone: 'warning', sign: '!' };
  return { word: 'live', tone: 'ok', sign: '\u25cf' };
}

export function LinkSign() {
  const s = useLive();
  const now = useNow();
  const w = linkWord(s, now);
  return (
    <span class={`link-sign tone-${w.tone}`} title={s.publishedAt ? `newest data: ${time(s.publishedAt)}` : undefined}>
      <span class="sign" aria-hidden="true">
        {w.sign}
      </span>
      <span role="status">{w.word}</span>
      {s.publishedAt !== null ? <span class="age"> data {ago(s.publishedAt, now)} old</span> : null}
    </span>
  );
}

export function LinkBand() {
  const s = useLive();
  useNow();
  if (s.link !== 'lost' && s.link !== 'refused') return null;
  const wait = s.nextTryMs === null ? 0 : Math.max(0, s.nextTryMs - Date.now());
  return (
    <div class={`band tone-${s.link === 'lost' ? 'critical' : 'warning'}`} role="alert">
      <strong>{s.link === 'lost' ? 'No connection to the controller' : 'No live updates'}</strong>
      <span>
        {s.link === 'lost'
          ? `for ${span(Date.now() - s.changedMs)}: ${s.reason}. What is shown is from before${s.publishedAt ? `, ${time(s.publishedAt)}` : ''}.`
          : `${s.reason}. Pages are refreshed every 30 s.`}
      </span>
      <span class="dim">{wait > 0 ? `Next attempt in ${Math.ceil(wait / 1000)} s.` : 'Trying...'}</span>
      <button type="button" onClick={() => live.retryNow()}>
        Try now
      </button>
    </div>
  );
}

/* A new process of the controller serves a new page, perhaps. */
export function RestartNote() {
  const s = useLive();
  if (!s.restarts) return null;
  return (
    <span class="dim restart" title={`as of ${time(serverNow())}`}>
      controller restarted
    </span>
  );
}
