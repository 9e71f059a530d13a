/* The access token is given once, for a session. Where one was, and comes back to, stands in the address. */
import { useState } from 'preact/hooks';
import { session, useSession } from '../session';
import { ErrorBox, Page } from './parts';

export function Login() {
  const { who, note } = useSession();
  const [token, setToken] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const submit = async (e: Event) => {
    e.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await session.login(token.trim());
    } catch (err) {
      setError(err instanceof Error ? err : new Error(String(err)));
    }
    setBusy(false);
  };
  return (
    <Page title="Log in">
      {note ? (
        <p class="login-note" role="status">
          {note}
        </p>
      ) : null}
      <form class="login" onSubmit={(e) => void submit(e)}>
        <label class="field">
          <span>Access token</span>
          <input
            type="password"
            name="token"
            required
            autoFocus
            autoComplete="current-password"
            spellcheck={false}
            placeholder="twa1.ID.SECRET"
            value={token}
            onInput={(e) => setToken(e.currentTarget.value)}
          />
        </label>
        <button type="submit" class="primary" disabled={busy || !token.trim()}>
          {busy ? 'Logging in...' : 'Log in'}
        </button>
      </form>
      <ErrorBox error={error} />
      <p class="dim">
        {who && !who.tokens ? 'There is no access token yet. ' : ''}
        An admin makes one with <code>twampctl access token create --role viewer --name NAME</code>. It is not kept here: this browser gets a session of 12 hours at most.
      </p>
    </Page>
  );
}

/* Who is logged in, in the header. */
export function WhoSign() {
  const { who } = useSession();
  const [error, setError] = useState('');
  if (!who || who.role === 'nobody') return null;
  const hint = who.by === 'session' ? `until ${who.session_ends ?? ''}` : 'let in by address: there is no access token yet';
  return (
    <span class="who" title={error || hint}>
      <span class="who-name">{who.by === 'session' ? who.name : ''}</span> <span class="dim">{who.role}</span>
      {who.by === 'session' ? (
        <button type="button" class="small" onClick={() => void session.logout().catch((e: unknown) => setError(String(e)))}>
          {error ? 'Log out: failed' : 'Log out'}
        </button>
      ) : null}
    </span>
  );
}
