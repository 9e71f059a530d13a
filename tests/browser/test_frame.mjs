/* The frame: what holds for every page. */
import assert from 'node:assert/strict';
import { PAGES, wait } from './rig.mjs';

const LOADED = () => !document.querySelector('.loading') && document.querySelector('h1');

async function every_page(t, scheme, width) {
  // Each page in one window: what one leaves behind is there for the next.
  const page = await t.page(`${t.base}/`, { scheme, width });
  for (const address of PAGES) {
    const name = address.split('?')[0];
    await page.goto(`${t.base}/#/${address}`);
    await page.waitForFunction(LOADED, null, { timeout: 30000 });
    await wait(`${name} to be live`, () => page.locator('.link-sign').innerText().then((x) => x.includes('live')));
    await t.shot(page, `${name}-${scheme}-${width}`);
    await t.axe(page, `${name}, ${scheme}, ${width}`);
    const over = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
    assert.ok(over <= 0, `${name} at ${width} px is ${over} px too wide`);
    assert.match(await page.title(), /twampmesh/);
  }
}

export default {
  every_page_is_accessible_dark: (t) => every_page(t, 'dark', 1400),
  every_page_is_accessible_light_and_fits_a_phone: (t) => every_page(t, 'light', 390),

  async page_is_small_and_from_here(t) {
    const bodies = [];
    let policy = '';
    const prepare = (page) =>
      page.on('response', (r) => {
        if (new URL(r.url()).pathname === '/') policy = r.headers()['content-security-policy'] ?? '';
        if (!r.url().includes('/api/')) bodies.push(r.body().then((b) => b.length));
      });
    const page = await t.page(`${t.base}/`, { prepare });
    await page.waitForFunction(LOADED);
    const total = (await Promise.all(bodies)).reduce((a, b) => a + b, 0);
    assert.ok(bodies.length >= 3 && total > 10_000 && total < 500_000, `${bodies.length} files, ${total} octets`);
    assert.match(policy, /default-src 'none'.*script-src 'self'/);
  },

  async keyboard_reaches_everything(t) {
    const page = await t.page(`${t.base}/#/fleet`);
    await page.waitForFunction(LOADED);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
    const seen = [];
    for (let i = 0; i < 9; i++) {
      await page.keyboard.press('Tab');
      seen.push(await page.evaluate(() => document.activeElement.innerText));
    }
    for (const name of ['Matrix', 'Alerts', 'Fleet', 'Schedule', 'Test', 'Reports']) assert.ok(seen.includes(name), `${name} in ${seen}`);
    await page.getByRole('link', { name: 'Alerts' }).focus();
    await page.keyboard.press('Enter');
    await wait('the heading to have the focus', () => page.evaluate(() => document.activeElement.id === 'page-title' && document.activeElement.innerText === 'Alerts'));
  },

  async theme_is_kept(t) {
    const page = await t.page(`${t.base}/`, { scheme: 'dark' });
    const shown = () => page.evaluate(() => document.documentElement.dataset.theme);
    assert.equal(await shown(), 'dark');
    await page.getByLabel('Colours').selectOption('light');
    assert.equal(await shown(), 'light');
    await page.reload();
    assert.equal(await shown(), 'light');
  },

  async address_that_names_nothing_says_so(t) {
    const page = await t.page(`${t.base}/#/nosuch`);
    await page.getByRole('heading', { name: 'No such page' }).waitFor();
  },
};
