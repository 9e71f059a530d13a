/* Where we are stands in the fragment: #/page?key=value. Whatever a page shows is in there, so an address that somebody
 * copies shows the same to others. */
import { useEffect, useState } from 'preact/hooks';

export interface Route {
  page: string;
  query: URLSearchParams;
}

export type Query = Record<string, string | number | boolean | null | undefined>;

export const HOME = 'matrix';

export function parseHash(hash: string): Route {
  const text = hash.replace(/^#\/?/, '');
  const at = text.indexOf('?');
  const page = at < 0 ? text : text.slice(0, at);
  return { page: page || HOME, query: new URLSearchParams(at < 0 ? '' : text.slice(at + 1)) };
}

/* An address. What is null, undefined, false or empty is left out. Names read well: > and , need no escape in a fragment. */
export function href(page: string, query: Query | URLSearchParams = {}): string {
  const params = query instanceof URLSearchParams ? query : fill(new URLSearchParams(), query);
  const text = params.toString().replace(/%2C/g, ',').replace(/%3A/g, ':').replace(/%2F/g, '/');
  return `#/${page}${text ? `?${text}` : ''}`;
}

function fill(params: URLSearchParams, query: Query): URLSearchParams {
  for (const [key, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === false || value === '') params.delete(key);
    else params.set(key, value === true ? '1' : String(value));
  }
  return params;
}

export function currentRoute(): Route {
  return parseHash(location.hash);
}

export function go(page: string, query: Query = {}): void {
  location.hash = href(page, query);
}

/* Changes keys of the present page's query. Steps of a slider `replace`, choices leave an entry to go back to. */
export function setQuery(change: Query, how: { replace?: boolean } = {}): void {
  const { page, query } = currentRoute();
  const next = href(page, fill(query, change));
  if (next === location.hash) return;
  if (!how.replace) {
    location.hash = next;
    return;
  }
  history.replaceState(null, '', next);
  dispatchEvent(new HashChangeEvent('hashchange'));
}

export function useRoute(): Route {
  const [route, setRoute] = useState(currentRoute);
  useEffect(() => {
    const onChange = () => setRoute(currentRoute());
    addEventListener('hashchange', onChange);
    return () => removeEventListener('hashchange', onChange);
  }, []);
  return route;
}
