/* Live, and what happens when it is not. The controller is stopped here: last of all. */
import assert from 'node:assert/strict';
import { cell, matrixShown, wait } from './rig.mjs';

export default {
  async news_are_asked_for_once_each(t) {
    const page = await t.page(`${t.base}/#/matrix?mesh=backbone&class=voice`);
    await matrixShown(page);
    let under = 0;
    let most = 0;
    let asked = 0;
    const isMatrix = (r) => r.url().includes('/api/v1/matrix');
    page.on('request', (r) => {
      if (!isMatrix(r)) return;
      asked++;
      most = Math.max(most, ++under);
    });
    const over = (r) => isMatrix(r) && under--;
    page.on('requestfinished', over);
    page.on('requestfailed', over);
    await new Promise((r) => setTimeout(r, 6000));
    assert.ok(asked >= 2 && asked <= 7, `${asked} requests in 6 s of report periods of 1 s`);
    assert.equal(most, 1, 'one request at a time');
    assert.match(await page.locator('.link-sign').innerText(), /live\s+data \d+ s old/);
  },

  async a_controller_that_is_gone_is_plain_to_see_and_not_stormed(t) {
    t.allow(/Failed to load resource|ERR_|api\/v1/);
    const page = await t.page(`${t.base}/#/matrix?mesh=backbone&class=voice`);
    await matrixShown(page);
    await wait('live', async () => /live/.test(await page.locator('.link-sign').innerText()));
    const said = await cell(page, 'ams', 'fra');
    await t.fleet.stop_controller();
    let asked = 0;
    try {
      await page.locator('.band.tone-critical').waitFor();
      assert.match(await page.locator('.band.tone-critical').innerText(), /No connection to the controller[\s\S]*What is shown is from before/);
      assert.match(await page.locator('.link-sign').innerText(), /no connection/);
      assert.match(await cell(page, 'ams', 'fra'), /^ams > fra: /, `what was known stays: ${said}`);
      page.on('request', () => asked++);
      await t.shot(page, 'controller-gone');
      await t.axe(page, 'without controller');
      await new Promise((r) => setTimeout(r, 8000));
      assert.ok(asked >= 1 && asked <= 8, `${asked} requests in 8 s without a controller`);
    } finally {
      await t.fleet.start_controller();
    }
    await wait('live again, by itself', async () => /live/.test(await page.locator('.link-sign').innerText()), 60);
    await wait('the band to go', async () => (await page.locator('.band.tone-critical').count()) === 0);
    await wait('word of the restart', async () => (await page.locator('.restart').count()) === 1);
    const draws = await page.evaluate(() => performance.getEntriesByName('matrix-shown').length);
    await wait('new numbers, without a reload', async () => (await page.evaluate(() => performance.getEntriesByName('matrix-shown').length)) > draws, 40);
    await wait('agents to be back', async () => /^ams > fra: ok/.test(await cell(page, 'ams', 'fra')), 60);
  },
};
