/* Logging in, and what one may do then, at a controller that serves HTTPS and knows access tokens. */
import assert from 'node:assert/strict';
import { wait } from './rig.mjs';

const REFUSED = /status of (401|403|429)|ERR_INCOMPLETE_CHUNKED_ENCODING/; // what the browser itself says of such answers, and of a stream that is cut off

/* The text of a new token. */
async function token(t, role, name) {
  const text = (await t.fleet.secure_ctl('access', 'token', 'create', '--role', role, '--name', name)).trim();
  return { text, id: text.split('.')[1] };
}

let n = 0;
const unique = (who) => `${who}-${++n}`;

async function secure(t, where = '', o = {}) {
  t.allow(REFUSED);
  t.secure = await t.fleet.start_secure();
  t.admin ??= await token(t, 'admin', unique('root')); // there is one: who comes has to log in
  const page = await t.page(`${t.secure}/${where}`, { secure: true, ...o });
  await page.getByRole('heading', { name: 'Log in' }).waitFor();
  return page;
}

async function login(page, text) {
  await page.getByLabel('Access token').fill(text);
  await page.getByRole('button', { name: 'Log in' }).click();
}

/* What the API says when this page asks it by itself. */
const ask = (page, path, init) =>
  page.evaluate(async ([p, i]) => {
    const r = await fetch(p, i);
    return { status: r.status, text: await r.text(), type: r.headers.get('Content-Type') };
  }, [path, init ?? {}]);
const whoami = async (page) => JSON.parse((await ask(page, '/api/v1/whoami')).text);
const silence = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ match: 'mesh=x', duration_ns: 3600e9, reason: 'test', author: 'test' }) };

async function view(t, scheme, width) {
  const page = await secure(t, '', { scheme, width });
  await t.axe(page, `log in, ${scheme}, ${width}`);
  await t.shot(page, `login-${scheme}-${width}`);
  const over = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
  assert.ok(over <= 0, `${over} px too wide`);
  assert.equal(await page.getByRole('link', { name: 'Fleet' }).count(), 0, 'pages are offered to nobody');
}

export default {
  async without_any_token_who_is_on_this_host_may_look(t) {
    t.allow(REFUSED);
    const page = await t.page(`${await t.fleet.fresh_secure()}/#/alerts?view=silences`, { secure: true });
    const button = page.getByRole('button', { name: 'New silence...' });
    await button.waitFor();
    assert.ok(await button.isDisabled());
    assert.match(await page.locator('.read-only').first().innerText(), /without an access token one may only look/);
    assert.match(await page.locator('.who').innerText(), /viewer/);
    // The first token ends that: from now on one has to log in.
    await token(t, 'admin', unique('first'));
    await page.getByRole('heading', { name: 'Log in' }).waitFor({ timeout: 20000 });
    assert.equal((await ask(page, '/api/v1/agents')).status, 401);
  },

  login_is_accessible_dark: (t) => view(t, 'dark', 1400),
  login_is_accessible_light_and_fits_a_phone: (t) => view(t, 'light', 390),

  async login_comes_back_to_the_address(t) {
    const page = await secure(t, '#/alerts?view=silences');
    const { text } = await token(t, 'viewer', 'vera');
    await login(page, 'twa1.0123456789abcdef.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA');
    assert.match(await page.getByRole('alert').innerText(), /no such access token/);
    await login(page, 'nonsense');
    await wait('what a token looks like', async () => /expected twa1\.ID\.SECRET/.test(await page.getByRole('alert').innerText()));
    await login(page, ` ${text} `);
    await page.getByRole('link', { name: 'Fleet' }).waitFor();
    assert.ok(page.url().endsWith('#/alerts?view=silences'), page.url());
    await page.getByText('vera', { exact: true }).waitFor();
    await wait('live events by the cookie', async () => /live/.test(await page.locator('.link-sign').innerText()));
    const [cookie, ...others] = await page.context().cookies();
    assert.equal(others.length, 0);
    assert.equal(cookie.name, '__Host-twampmesh');
    assert.ok(cookie.httpOnly && cookie.secure && cookie.sameSite === 'Strict' && cookie.path === '/', JSON.stringify(cookie));
    assert.ok(Math.abs(cookie.expires - Date.now() / 1000 - 12 * 3600) < 600, `${cookie.expires}`);
    assert.equal(await page.evaluate(() => document.cookie), '');
    // The same after a reload, and for what is saved as a file.
    await page.reload();
    await page.getByText('vera', { exact: true }).waitFor();
    const csv = await ask(page, '/api/v1/summaries?format=csv');
    assert.ok(csv.status === 200 && csv.type.startsWith('text/csv'), JSON.stringify(csv));
    const { headers } = await page.evaluate(async () => ({ headers: Object.fromEntries((await fetch('/')).headers) }));
    assert.match(headers['strict-transport-security'] ?? '', /max-age=\d+/);
    assert.match(headers['content-security-policy'] ?? '', /default-src 'none'; script-src 'self'/);
  },

  async viewer_may_only_look(t) {
    const page = await secure(t, '#/alerts?view=silences');
    const name = unique('vic');
    await login(page, (await token(t, 'viewer', name)).text);
    const button = page.getByRole('button', { name: 'New silence...' });
    await button.waitFor();
    assert.ok(await button.isDisabled(), 'a viewer is offered a silence');
    assert.match(await page.locator('.read-only').first().innerText(), new RegExp(`${name} is a viewer; this needs an operator`));
    await t.axe(page, 'silences of a viewer');
    const { csrf, role, by } = await whoami(page);
    assert.deepEqual([role, by], ['viewer', 'session']);
    const tried = await ask(page, '/api/v1/silences', { ...silence, headers: { ...silence.headers, 'X-Csrf-Token': csrf } });
    assert.equal(tried.status, 403, tried.text);
    assert.match(tried.text, /viewer/);
  },

  async operator_changes_by_the_page_and_nobody_else_by_the_cookie(t) {
    const page = await secure(t, '#/alerts?view=silences');
    const name = unique('olga');
    await login(page, (await token(t, 'operator', name)).text);
    await page.getByText(name, { exact: true }).waitFor();
    const { csrf } = await whoami(page);
    for (const headers of [{}, { 'X-Csrf-Token': '' }, { 'X-Csrf-Token': '0'.repeat(64) }]) {
      const tried = await ask(page, '/api/v1/silences', { ...silence, headers: { ...silence.headers, ...headers } });
      assert.ok(tried.status === 403 && tried.text.includes('X-Csrf-Token'), JSON.stringify(tried));
    }
    assert.equal((await ask(page, '/api/v1/silences', { ...silence, headers: { ...silence.headers, 'X-Csrf-Token': csrf } })).status, 200);
    await page.getByText('mesh=x').first().waitFor();
    await page.getByRole('button', { name: /^End\.\.\./ }).first().click();
    const dialog = page.getByRole('dialog');
    assert.equal(await dialog.getByLabel('Your name').inputValue(), name);
    await dialog.getByRole('button', { name: 'End' }).click();
    await wait('the silence to end', async () => !(await dialog.isVisible()));
    // What belongs to admins is off.
    const admin = await ask(page, '/api/v1/agents/nobody/approve', { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json', 'X-Csrf-Token': csrf } });
    assert.ok(admin.status === 403 && admin.text.includes('admin'), JSON.stringify(admin));
  },

  async logout_ends_the_session(t) {
    const page = await secure(t, '#/fleet');
    const name = unique('lou');
    await login(page, (await token(t, 'viewer', name)).text);
    await page.getByText(name, { exact: true }).waitFor();
    const [cookie] = await page.context().cookies();
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
    assert.equal((await page.context().cookies()).length, 0);
    assert.equal((await ask(page, '/api/v1/agents')).status, 401);
    // Whoever kept the cookie has nothing of it.
    await page.context().addCookies([cookie]);
    assert.equal((await whoami(page)).role, 'nobody');
    assert.equal((await ask(page, '/api/v1/agents')).status, 401);
  },

  async session_ends_with_its_token(t) {
    const page = await secure(t, '#/fleet');
    const name = unique('rev');
    const { text, id } = await token(t, 'operator', name);
    await login(page, text);
    await wait('live events', async () => /live/.test(await page.locator('.link-sign').innerText()));
    await t.fleet.secure_ctl('access', 'token', 'revoke', id);
    await page.getByRole('heading', { name: 'Log in' }).waitFor({ timeout: 20000 });
    assert.match(await page.locator('.login-note').innerText(), /session has ended/);
    assert.ok(page.url().endsWith('#/fleet'));
    await login(page, text);
    await wait('the token to be refused', async () => /has been revoked/.test(await page.getByRole('alert').innerText()));
  },

  async wrong_tokens_are_limited_and_lock_nobody_out(t) {
    const page = await secure(t);
    const wrong = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ token: 'twa1.0123456789abcdef.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }) };
    const seen = new Set();
    for (let i = 0; i < 40 && !seen.has(429); i++) seen.add((await ask(page, '/api/v1/login', wrong)).status);
    assert.ok(seen.has(401) && seen.has(429), `${[...seen]}`);
    const name = unique('lea');
    await login(page, (await token(t, 'viewer', name)).text);
    await page.getByText(name, { exact: true }).waitFor();
  },
};
