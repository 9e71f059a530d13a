import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { useLive } from './live/hooks';
import { href, useRoute } from './router';
import { atLeast, useSession } from './session';
import { Login, WhoSign } from './ui/Login';
import { LinkBand, LinkSign, RestartNote } from './ui/LinkState';
import { Empty, Page } from './ui/parts';
import { setTheme, theme, type Theme } from './ui/theme';
import { Alerts } from './pages/alerts';
import { Fleet } from './pages/fleet';
import { Matrix } from './pages/matrix';
import { Pair } from './pages/pair';
import { Reports } from './pages/reports';
import { Schedule } from './pages/schedule';
import { Test } from './pages/test';

/* One row is one page; without `nav` it is reached from others only. */
const pages: readonly { path: string; nav?: string; page: ComponentType }[] = [
  { path: 'matrix', nav: 'Matrix', page: Matrix },
  { path: 'alerts', nav: 'Alerts', page: Alerts },
  { path: 'fleet', nav: 'Fleet', page: Fleet },
  { path: 'schedule', nav: 'Schedule', page: Schedule },
  { path: 'test', nav: 'Test', page: Test },
  { path: 'reports', nav: 'Reports', page: Reports },
  { path: 'pair', page: Pair },
];

function NoPage() {
  return (
    <Page title="No such page">
      <Empty>
        This address names no page. <a href={href('matrix')}>To the matrix</a>
      </Empty>
    </Page>
  );
}

function ThemeSwitch() {
  const [t, set] = useState<Theme>(theme);
  return (
    <select
      class="theme"
      aria-label="Colours"
      value={t}
      onChange={(e) => {
        const next = e.currentTarget.value as Theme;
        set(next);
        setTheme(next);
      }}
    >
      <option value="auto">Auto</option>
      <option value="dark">Dark</option>
      <option value="light">Light</option>
    </select>
  );
}

export function App() {
  const route = useRoute();
  const { controller } = useLive();
  const { who } = useSession();
  const known = !who || atLeast(who.role, 'viewer');
  const page = pages.find((p) => p.path === route.page);
  const Shown = known ? (page?.page ?? NoPage) : Login;
  const first = useRef(true);
  // Coming to another page, the keyboard and the screen reader start at its heading.
  useEffect(() => {
    if (first.current) first.current = false;
    else document.getElementById('page-title')?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [route.page]);

  return (
    <>
      <a class="skip" href="#main" onClick={(e) => (e.preventDefault(), document.getElementById('main')?.focus())}>
        To the content
      </a>
      <header class="top">
        <a class="brand" href={href('matrix')}>
          <img src="/favicon.svg" alt="" width="18" height="18" />
          <span>twampmesh</span>
          {controller ? <span class="dim">{controller}</span> : null}
        </a>
        <nav aria-label="Pages">
          {pages.map((p) =>
            p.nav && known ? (
              <a key={p.path} href={href(p.path)} {...(p === page ? { 'aria-current': 'page' as const } : {})}>
                {p.nav}
              </a>
            ) : null,
          )}
        </nav>
        <div class="top-right">
          <RestartNote />
          {known ? <LinkSign /> : null}
          <WhoSign />
          <ThemeSwitch />
        </div>
      </header>
      {known ? <LinkBand /> : null}
      <main id="main" tabIndex={-1}>
        <Shown key={known ? route.page : 'login'} />
      </main>
    </>
  );
}
