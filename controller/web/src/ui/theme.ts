/* Light or dark: as the system says, or as the reader chose; kept in the browser. */
import { useEffect, useState } from 'preact/hooks';

export type Theme = 'auto' | 'light' | 'dark';
const KEY = 'twampmesh.theme';
const listeners = new Set<() => void>();

export function theme(): Theme {
  try {
    const t = localStorage.getItem(KEY);
    return t === 'light' || t === 'dark' ? t : 'auto';
  } catch {
    return 'auto'; // no storage: private windows of some browsers
  }
}

function system(): MediaQueryList {
  return matchMedia('(prefers-color-scheme: light)');
}

export function startTheme(): void {
  apply();
  system().addEventListener('change', apply);
}

function apply(): void {
  const t = theme();
  document.documentElement.dataset.theme = t === 'auto' ? (system().matches ? 'light' : 'dark') : t;
  for (const fn of listeners) fn();
}

export function setTheme(t: Theme): void {
  try {
    if (t === 'auto') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, t);
  } catch {
    // it holds for this page only
  }
  apply();
}

/* Of what draws itself (canvas, plots): a number that changes with the theme. */
export function useThemeVersion(): number {
  const [n, setN] = useState(0);
  useEffect(() => {
    const fn = () => setN((v) => v + 1);
    listeners.add(fn);
    return () => void listeners.delete(fn);
  }, []);
  return n;
}
