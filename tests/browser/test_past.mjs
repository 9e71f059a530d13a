/* The matrix of a moment of the past. */
import assert from 'node:assert/strict';
import { cell, matrixShown, wait } from './rig.mjs';

const count = (page, name) => page.evaluate((n) => performance.getEntriesByName(n).length, name);

async function fleet_matrix(t, query = '', o = {}) {
  const page = await t.page(`${t.base}/#/matrix?mesh=backbone&class=voice${query}`, o);
  await matrixShown(page);
  return page;
}

/* A second of which every pair has its numbers, as late as there is one, as { at, rows of twampctl }: a fleet that has just begun has no past yet. */
function moment(t) {
  return wait('a moment that all pairs have numbers of', async () => {
    const to = Math.floor(Date.now() / 1000) - 10;
    const table = await t.fleet.ctl('report', '--mesh', 'backbone', '--class', 'voice', '--from', String(to - 1), '--to', String(to));
    const rows = table.split('\n').filter((l) => /> .*%/.test(l));
    return rows.length === 12 && { at: new Date(to * 1000).toISOString().slice(0, 19) + 'Z', rows };
  });
}

export default {
  async the_past_is_the_past(t) {
    const { at } = await moment(t);
    // A page that begins there: all it draws is of then.
    const page = await fleet_matrix(t, `&at=${at}`);
    await page.locator('.band.past').waitFor();
    assert.match(await page.locator('.band.past').innerText(), new RegExp(at));
    await wait('cells of then', async () => /^ams > lon: (ok|partial), in all/.test(await cell(page, 'ams', 'lon')));
    const before = await cell(page, 'ams', 'lon');
    const drawn = await count(page, 'matrix-shown');
    await new Promise((r) => setTimeout(r, 3000));
    assert.equal(await count(page, 'matrix-shown'), drawn, 'the past does not change with what is published');
    assert.equal(await cell(page, 'ams', 'lon'), before);
    await t.shot(page, 'matrix-past');
    await t.axe(page, 'the past');
    await page.getByRole('button', { name: 'Back to now' }).click();
    await wait('the band to go', async () => (await page.locator('.band.past').count()) === 0);
    assert.ok(!page.url().includes('at='));
    await page.getByRole('slider', { name: 'Moment' }).focus();
    await page.keyboard.press('ArrowLeft');
    await page.locator('.band.past').waitFor();
    assert.match(page.url(), /at=\d{4}-\d\d-\d\dT/);
  },

  async numbers_are_those_of_twampctl(t) {
    const { at, rows } = await moment(t);
    const page = await fleet_matrix(t, `&metric=p95&ways=roundtrip&at=${at}`);
    await page.locator('.band.past').waitFor();
    for (const line of rows) {
      const [, source, target] = /(\w+) > (\w+)/.exec(line);
      const p95 = /%(?:\s+\S+%)*\s+[\d.]+ [um]?s\s+([\d.]+ [um]?s)/.exec(line)?.[1];
      assert.ok(p95, line);
      const said = await wait('the cell of then', async () => {
        const x = await cell(page, source, target);
        return /round trip/.test(x) && x;
      });
      assert.ok(said.includes(`round trip ${p95}`), `${line}\n${said}`);
    }
  },

};
