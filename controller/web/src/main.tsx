import { render } from 'preact';
import { App } from './app';
import { live } from './live/live';
import { atLeast, session } from './session';
import { startTheme } from './ui/theme';
import './style.css';

/* Without an answer the page begins nevertheless: it says what is wrong. */
function listen(): void {
  const { who } = session.state;
  if (who && !atLeast(who.role, 'viewer')) live.halt();
  else live.go();
}

startTheme();
const root = document.getElementById('app');
void session.start().then(() => {
  session.subscribe(listen);
  listen();
  if (root) render(<App />, root);
});
