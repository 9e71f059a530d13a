/* The pair over time: on the fleet what only a fleet shows, on the fixture what cannot be had at will. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { wait } from './rig.mjs';

const FIXTURE = 'mesh=fixture&class=voice&source=site01-host1&target=site02-host3';

async function shown(page) {
  await page.locator('.plot-canvas canvas').first().waitFor({ timeout: 30000 });
  await wait('the plots', async () => (await page.locator('.plot-canvas canvas').count()) >= 5);
}
const words = (page) => page.locator('.pair-words').innerText();
const range = (page) => page.locator('.pair-range').innerText();
const query = (page) => new URLSearchParams(new URL(page.url()).hash.split('?')[1]);

async function fixturePair(t, more = '', options = {}) {
  const base = await t.fixture(20);
  const page = await t.page(`${base}/#/pair?${FIXTURE}${more}`, options);
  await shown(page);
  return page;
}

/* How many pixels of the plot with this title have exactly the colour that a custom property names, from share a to b of its width. */
const pixels = async (...where) => (await coloured(...where)).reduce((n, of) => n + of, 0);

/* Of how many of its columns that is true, and how many there are. */
async function columns(...where) {
  const all = await coloured(...where);
  return [all.filter((n) => n > 0).length, all.length];
}

/* The number of such pixels in each column. */
function coloured(page, title, property, a = 0, b = 1) {
  return page.evaluate(
    ([title, property, a, b]) => {
      const canvas = [...document.querySelectorAll('[data-plot]')].find((el) => el.dataset.plot.startsWith(title)).querySelector('canvas');
      const over = canvas.parentElement.querySelector('.u-over').getBoundingClientRect();
      const rect = canvas.getBoundingClientRect();
      const scale = canvas.width / rect.width;
      const x = Math.round((over.left - rect.left + a * over.width) * scale);
      const w = Math.max(1, Math.round((b - a) * over.width * scale));
      const want = getComputedStyle(document.documentElement).getPropertyValue(property).trim();
      const rgb = [1, 3, 5].map((i) => parseInt(want.slice(i, i + 2), 16));
      const d = canvas.getContext('2d').getImageData(x, 0, w, canvas.height).data;
      const found = new Array(w).fill(0);
      for (let i = 0; i < d.length; i += 4) if (d[i] === rgb[0] && d[i + 1] === rgb[1] && d[i + 2] === rgb[2]) found[(i / 4) % w]++;
      return found;
    },
    [title, property, a, b],
  );
}

async function dragOver(page, from, to, modifier) {
  const box = await page.waitForFunction(() => {
    const r = document.querySelector('.u-over')?.getBoundingClientRect();
    return r && r.width > 0 ? { x: r.x, y: r.y, width: r.width } : null;
  }).then((h) => h.jsonValue());
  if (modifier) await page.keyboard.down(modifier);
  await page.mouse.move(box.x + from * box.width, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + ((from + to) / 2) * box.width, box.y + 40);
  await page.mouse.move(box.x + to * box.width, box.y + 40);
  await page.mouse.up();
  if (modifier) await page.keyboard.up(modifier);
}

async function downloaded(page, button) {
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: button, exact: true }).click()]);
  return { name: file.suggestedFilename(), data: await readFile(await file.path()) };
}

export default {
  async loss_is_seen_in_its_direction_and_live(t) {
    // A pair that no other test harms: the two minutes shown may have begun before this test.
    const page = await t.page(`${t.base}/#/pair?mesh=backbone&class=voice&source=fra&target=lon&from=-2m`);
    await shown(page);
    const before = await range(page);
    await t.fleet.lose('fra', 'lon', 30);
    try {
      await wait('loss forward, without a reload', async () => /Loss \d[\d.]*%: [1-9]\d* forward, 0 backward/.test(await words(page)));
      assert.notEqual(await range(page), before, 'the right edge moves on');
      await wait('loss runs', async () => /forward/.test(await page.getByRole('region', { name: 'Loss runs, newest first' }).innerText()));
      await wait('its bars', async () => (await pixels(page, 'Loss', '--plot-forward', 0.3)) > 20);
      assert.equal(await pixels(page, 'Loss', '--plot-backward'), 0);
      await t.shot(page, 'pair-loss');
      await t.axe(page, 'pair with loss');
    } finally {
      await t.fleet.lose('fra', 'lon', 0);
    }
  },

  async a_cell_of_the_matrix_leads_to_its_plots(t) {
    const page = await t.page(`${t.base}/#/matrix?mesh=backbone&class=voice`);
    await page.locator('[role=gridcell]').waitFor({ timeout: 30000 });
    await page.locator('[role=gridcell]').focus();
    await page.keyboard.press('Control+Home');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    await shown(page);
    assert.match(await words(page), /Round trip: p50 \d/);
    assert.ok((await pixels(page, 'Delay', '--plot-p50')) > 20, 'the line of p50');
    assert.equal(query(page).get('source'), 'ams');
  },

  async numbers_are_those_of_the_api(t) {
    const to = Math.floor(Date.now() / 1000) - 10;
    const span = `from=${to - 20}&to=${to}`;
    const page = await t.page(`${t.base}/#/pair?mesh=backbone&class=voice&source=ams&target=fra&${span}`);
    await shown(page);
    const csv = await downloaded(page, 'CSV');
    const api = await page.evaluate((q) => fetch(`/api/v1/series?mesh=backbone&class=voice&source=ams&target=fra&${q}`).then((r) => r.json()), span);
    const [head, ...rows] = csv.data.toString().trimEnd().split('\r\n').map((l) => l.split(','));
    const steps = rows.filter((r) => r[head.indexOf('gap')] === '');
    assert.ok(api.steps.length >= 15, `${api.steps.length} steps of 20 s`);
    assert.equal(steps.length, api.steps.length);
    for (const key of ['start', 'sent', 'lost_forward', 'delay_roundtrip_p50_seconds', 'delay_roundtrip_p99_seconds', 'one_way_valid'])
      assert.deepEqual(steps.map((r) => r[head.indexOf(key)]), api.steps.map((s) => String(s[key] ?? '')), key);
    const report = await t.fleet.csv('report', '--mesh', 'backbone', '--class', 'voice', '--from', String(to - 20), '--to', String(to));
    const row = report.find((r) => r.source === 'ams' && r.target === 'fra');
    const table = await page.getByRole('region', { name: 'Numbers of the pair' }).innerText();
    assert.match(table, new RegExp(`shown span\\s+round trip\\s+\\S+\\s+${row.lost} of ${row.sent}\\b`));
  },

  async zoom_reaches_what_was_measured(t) {
    const page = await fixturePair(t, '&from=-1d');
    assert.match(await range(page), /zoom in for finer ones/);
    const plots = page.getByRole('application');
    await plots.focus();
    for (let i = 0; i < 30 && !/as measured/.test(await range(page)); i++) {
      await page.keyboard.press('+');
      await page.waitForTimeout(500);
    }
    await wait('steps as measured', async () => /10 s steps, as measured/.test(await range(page)));
    assert.match(query(page).get('zoom'), /^-\d+s$/, 'at the right edge it is live');
    await page.keyboard.press('Shift+ArrowLeft');
    await wait('a span that is over', () => /^2\d+-.*Z,2\d+-.*Z$/.test(query(page).get('zoom') ?? ''));
    await page.keyboard.press('0');
    await wait('the whole span', async () => query(page).get('zoom') === null && /zoom in for finer ones/.test(await range(page)));
  },

  async a_mouse_zooms_pans_and_goes_back(t) {
    const page = await fixturePair(t);
    await dragOver(page, 0.2, 0.4);
    await wait('the zoom', () => query(page).get('zoom'));
    const [a, b] = query(page).get('zoom').split(',').map(Date.parse);
    assert.ok(Math.abs(b - a - 12 * 60_000) < 90_000, `a fifth of an hour, not ${(b - a) / 1000} s`);
    await wait('steps of it', async () => /10 s steps, as measured/.test(await range(page)));
    await dragOver(page, 0.3, 0.8, 'Shift');
    await wait('an earlier span', () => Date.parse(query(page).get('zoom').split(',')[0]) < a - 4 * 60_000);
    const [c, d] = query(page).get('zoom').split(',').map(Date.parse);
    assert.ok(Math.abs(d - c - (b - a)) < 2500, 'panning does not zoom');
    await page.goBack();
    await wait('the whole span', () => query(page).get('zoom') === null);
  },

  async an_address_shows_the_same_again(t) {
    const page = await fixturePair(t, '&dir=forward&compare=7d&flows=1');
    await dragOver(page, 0.25, 0.75);
    await wait('the zoom', () => query(page).get('zoom'));
    const state = async (p) => {
      await wait('all of it', async () => (await p.locator('.flow').count()) === 4 && /the week before/.test(await p.getByRole('region', { name: 'Numbers of the pair' }).innerText()));
      await wait('no loading', async () => !/loading/.test(await range(p)));
      return {
        range: await range(p),
        words: await words(p),
        pressed: await p.locator('[aria-pressed=true]').allInnerTexts(),
        keys: await p.locator('.keys').allInnerTexts(),
        numbers: (await p.getByRole('region', { name: 'Numbers of the pair' }).innerText()).split('\n').filter((l) => !/latest/.test(l)),
      };
    };
    const first = await state(page);
    assert.deepEqual(first.pressed, ['forward']);
    assert.match(first.keys.join(), /the week before/);
    assert.ok((await pixels(page, 'Delay', '--plot-before')) > 20, 'the line of the week before');
    const again = await t.page(page.url());
    await shown(again);
    assert.deepEqual(await state(again), first);
    await t.shot(again, 'pair-compare');
  },

  async a_gap_is_a_gap_with_its_cause(t) {
    const page = await fixturePair(t);
    const gaps = page.getByRole('region', { name: 'Stretches without data' });
    await gaps.waitFor();
    assert.match(await gaps.innerText(), /4 min\s+agent down/);
    assert.match(await words(page), /1 gap without data, the longest 4 min .*: agent down/);
    // Where it lies is known: the fixture counts from its start.
    const at = await page.evaluate(async () => {
      const s = await (await fetch('/api/v1/series?mesh=fixture&class=voice&source=a&target=b')).json();
      const from = Date.parse(s.from);
      const length = Date.parse(s.to) - from;
      const starts = s.steps.map((x) => Date.parse(x.start));
      const i = starts.findIndex((x, k) => k > 0 && x - starts[k - 1] > 60_000);
      return [(starts[i - 1] + 10_000 - from) / length, (starts[i] - from) / length];
    });
    const inset = (at[1] - at[0]) / 8;
    // Not none: the gap's own words are there, and may have a few of that colour.
    const [across, of] = await columns(page, 'Delay', '--plot-p50', at[0] + inset, at[1] - inset);
    assert.ok(across < of / 2, `no line goes across, but ${across} of ${of} columns have its colour`);
    const [line, wide] = await columns(page, 'Delay', '--plot-p50', at[1] + inset, 1 - inset);
    assert.ok(line > 0.9 * wide, `${line} of ${wide} columns have the line after it`);
  },

  async what_is_not_valid_is_shown_and_said(t) {
    const page = await fixturePair(t, '&dir=forward');
    assert.match(await words(page), /One-way delays are not valid in \d/);
    assert.match(await page.getByRole('region', { name: 'Numbers of the pair' }).innerText(), /forward\s[\s\S]*ms\?/);
    assert.ok((await pixels(page, 'State', '--warning-fill')) > 20, 'hatched in the lane of clocks');
  },

  async files_hold_what_is_shown(t) {
    const page = await fixturePair(t);
    const csv = await downloaded(page, 'CSV');
    assert.match(csv.name, /^fixture_voice_site01-host1_site02-host3_\d{8}T\d{6}Z\.csv$/);
    const lines = csv.data.toString().trimEnd().split('\r\n');
    assert.ok(lines.length > 300 && lines.some((l) => l.endsWith(',agent down')), `${lines.length} lines`);
    const png = await downloaded(page, 'PNG');
    assert.equal(png.data.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n');
    assert.ok(png.data.readUInt32BE(16) >= 1000 && png.data.readUInt32BE(20) >= 500, 'all plots, one under the other');
    assert.ok(png.data.length > 10_000);
  },

  async keys_and_a_screen_reader_do(t) {
    const page = await fixturePair(t);
    const plots = page.getByRole('application');
    await plots.focus();
    await page.keyboard.press('End');
    await page.keyboard.press('ArrowLeft');
    const said = page.locator('.timeline [role=status]');
    await wait('the step', async () => /^\d\d:\d\d:\d\dZ: all 100 probes came back|probes lost/.test(await said.innerText()));
    const first = await said.innerText();
    await page.keyboard.press('ArrowLeft');
    await wait('the step before', async () => (await said.innerText()) !== first);
    assert.match(await said.innerText(), /round trip p50 \d+\.\d ms, p95/);
    assert.match(await plots.getAttribute('aria-describedby'), /pair-words/);
  },

  async a_phone_pans_with_a_finger(t) {
    const page = await fixturePair(t, '&flows=1', { width: 390, height: 800, touch: true });
    const over = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
    assert.ok(over <= 0, `${over} px too wide`);
    await t.shot(page, 'pair-phone');
    await t.axe(page, 'pair on a phone');
    await page.locator('.u-over').first().evaluate((el) => el.scrollIntoView({ block: 'center' }));
    const box = await page.locator('.u-over').first().boundingBox();
    const cdp = await page.context().newCDPSession(page);
    const touch = (type, ...x) => cdp.send('Input.dispatchTouchEvent', { type, touchPoints: x.map((v, id) => ({ x: box.x + v * box.width, y: box.y + 60, id })) });
    await touch('touchStart', 0.3);
    for (const x of [0.4, 0.5, 0.6, 0.7]) await touch('touchMove', x);
    await touch('touchEnd');
    await wait('an earlier span', () => /Z,/.test(query(page).get('zoom') ?? ''));
    const length = () => {
      const [a, b] = (query(page).get('zoom') ?? ',').split(',').map(Date.parse);
      return b - a;
    };
    const before = length();
    await touch('touchStart', 0.45, 0.55);
    for (const d of [0.1, 0.2, 0.3]) await touch('touchMove', 0.45 - d, 0.55 + d);
    await touch('touchEnd');
    await wait('a closer one', () => length() < before / 2);
  },

  async both_themes_are_accessible(t) {
    for (const scheme of ['dark', 'light']) {
      const page = await fixturePair(t, '&compare=7d&flows=1&dir=backward', { scheme });
      await wait('the week before', async () => /the week before/.test(await page.locator('.keys').first().innerText()));
      await t.shot(page, `pair-${scheme}`);
      await t.axe(page, `pair, ${scheme}`);
    }
  },
};
