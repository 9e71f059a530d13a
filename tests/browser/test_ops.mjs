/* What operators do on the page: approve, plan and apply, acknowledge and silence, test, report. What it did is asked of twampctl. */
import assert from 'node:assert/strict';
import { wait } from './rig.mjs';

const AUTHOR = 'browser-test';

async function open(t, address, o = {}) {
  const page = await t.page(`${t.base}/#/${address}`, o);
  await page.waitForFunction(() => !document.querySelector('.loading') && document.querySelector('h1'), null, { timeout: 30000 });
  return page;
}

/* Presses a button that opens a dialog, fills it in, and sends it. Fields by their labels. */
async function dialog(t, page, button, submit, fields = {}, name = '') {
  await button.click();
  const d = page.getByRole('dialog');
  await d.waitFor();
  for (const [label, text] of Object.entries({ 'Your name': AUTHOR, ...fields })) await d.getByLabel(label).fill(text);
  if (name) {
    await t.shot(page, name);
    await t.axe(page, name);
  }
  await d.getByRole('button', { name: submit }).click();
}
const notice = (page) => page.locator('.notice').innerText();
const said = (page, pattern, seconds) => wait(`the page to say ${pattern}`, async () => (pattern.test(await notice(page)) ? true : await notice(page)), seconds);
const row = (page, table, text) => page.getByRole('table', { name: table }).getByRole('row').filter({ hasText: text });

async function agent(t, name) {
  return (await t.fleet.csv('agent', 'list')).find((a) => a.name === name);
}

/* Writes into the editor as a reader does: all of it is replaced. */
async function write(page, change) {
  const area = page.getByLabel('Mesh document');
  const text = await wait('the document', () => area.inputValue());
  await area.fill(change(text));
  return text;
}

export default {
  async several_controllers_are_listed_and_one_is_not(t) {
    const alone = await open(t, 'fleet');
    await row(alone, 'Agents', 'ams').waitFor({ timeout: 30000 });
    assert.equal(await alone.getByRole('table', { name: 'Controllers' }).count(), 0, 'one that shares its control state with nobody');
    assert.equal(await alone.getByRole('columnheader', { name: 'Controller' }).count(), 0);
    const page = await t.page(`${await t.fixture(8)}/#/fleet`);
    await row(page, 'Controllers', 'ctl-1').waitFor({ timeout: 30000 });
    assert.match(await row(page, 'Controllers', 'ctl-1').innerText(), /ready.*planner, this one.*4/s);
    assert.match(await row(page, 'Controllers', 'ctl-2').innerText(), /not ready.*history at ch-1.example.net:8443\/twamp cannot be used/s);
    assert.match(await row(page, 'Controllers', 'ctl-3').innerText(), /missing.*missing for 3 min/s);
    assert.deepEqual(await page.getByRole('table', { name: 'Controllers' }).getByRole('link').evaluateAll((all) => all.map((a) => a.href)), ['https://ctl-2.example.net:8443/#/fleet'], 'those whose page can be gone to');
    assert.match(await row(page, 'Agents', 'site01-host2').innerText(), /ctl-2/);
    await t.shot(page, 'controllers');
    await t.axe(page, 'controllers');
  },

  async an_agent_that_waits_is_let_in_by_its_key(t) {
    const page = await open(t, 'fleet');
    await t.fleet.ctl('agent', 'remove', 'par', '--yes');
    const request = row(page, 'Enrolment requests', 'par');
    await request.waitFor({ timeout: 30000 });
    await request.getByRole('button', { name: /Approve/ }).click();
    const shown = (await page.locator('dialog .fingerprint').innerText()).replace(/\s/g, '');
    assert.match(shown, /^[0-9a-f]{64}$/);
    assert.equal(shown, (await agent(t, 'par')).fingerprint, 'the key that is shown');
    await page.keyboard.press('Escape');
    assert.equal(await page.getByRole('dialog').count(), 0, 'Escape closes it');
    assert.equal((await agent(t, 'par')).state, 'pending', 'and lets nobody in');
    await dialog(t, page, request.getByRole('button', { name: /Approve/ }), 'Approve this key', {}, 'approve');
    await said(page, /par is approved/);
    await wait('par to be up', async () => (await agent(t, 'par')).state === 'up');
    await wait('the page to show it', async () => (await row(page, 'Agents', 'par').innerText()).includes('up'));
    assert.equal(await page.getByRole('table', { name: 'Enrolment requests' }).count(), 0);
  },

  async an_agent_is_labelled_drained_and_brought_back(t) {
    const page = await open(t, 'fleet?agent=lon');
    await t.shot(page, 'agent');
    await t.axe(page, 'one agent');
    await page.getByRole('button', { name: 'Labels...' }).click();
    await page.getByRole('dialog').getByLabel('Set or take off').fill('tier');
    await page.getByRole('dialog').getByRole('button', { name: 'Change labels' }).click();
    await wait('what was expected', async () => /expected KEY=VALUE/.test(await page.locator('dialog .error-box').innerText()));
    await page.getByRole('dialog').getByLabel('Set or take off').fill('tier=1');
    await page.getByRole('dialog').getByRole('button', { name: 'Change labels' }).click();
    await said(page, /labels of lon are changed/);
    await wait('the label', async () => (await page.locator('main').innerText()).includes('tier=1'));
    await dialog(t, page, page.getByRole('button', { name: 'Drain...' }), 'Drain', { Reason: 'new disk' });
    await said(page, /lon is drained/);
    await wait('who drained it and why', async () => /drained by browser-test: new disk/.test(await page.locator('.concerns').first().innerText()));
    await dialog(t, page, page.getByRole('button', { name: 'Undrain...' }), 'Undrain');
    await said(page, /measured from and to again/);
    // What hurts wants the name: without it the button is off.
    await page.getByRole('button', { name: 'Revoke...' }).click();
    const revoke = page.getByRole('dialog').getByRole('button', { name: 'Revoke' });
    assert.ok(await revoke.isDisabled());
    await page.getByRole('dialog').getByLabel(/Type lon/).fill('lon');
    assert.ok(await revoke.isEnabled());
    await page.keyboard.press('Escape');
    assert.equal((await agent(t, 'lon')).state, 'up');
  },

  async labels_choose_agents_and_a_bad_selector_is_refused_beside_the_field(t) {
    t.allow(/400 \(Bad Request\)/);
    const page = await open(t, 'fleet');
    await page.getByLabel('Labels', { exact: true }).fill('region=west');
    await page.keyboard.press('Enter');
    await wait('two agents', async () => (await page.getByRole('table', { name: 'Agents' }).locator('tbody tr').count()) === 2);
    assert.match(page.url(), /select=region/, 'what is chosen stands in the address');
    await page.getByLabel('Labels', { exact: true }).fill('region==west');
    await page.keyboard.press('Enter');
    await wait('the refusal', async () => /Refused \(400\)[\s\S]*selector/.test(await page.locator('form.field').filter({ hasText: 'Labels' }).locator('.error-box').innerText()));
  },

  async a_document_is_planned_then_applied_and_taken_back(t) {
    t.allow(/422 \(/);
    const page = await open(t, 'schedule?view=editor&mesh=backbone');
    const plan = page.getByRole('button', { name: 'Plan', exact: true });
    const text = await write(page, (x) => x.replace('spacing: 100ms', 'spacing: 50xs'));
    await plan.click();
    await wait('the line that is wrong', async () => /line \d+:\d+: classes\.bulk\.spacing: expected a time/.test(await page.locator('.side').innerText()));
    await write(page, () => text.replace('spacing: 100ms', 'spacing: 1ms, flows: 32'));
    assert.match(await page.locator('.side').innerText(), /plan it again/, 'a plan holds for its text only');
    await plan.click();
    await wait('reasons of the refusal', async () => /costs more than it may[\s\S]*packets\/s[\s\S]*most of it[\s\S]*would fit/.test(await page.locator('.refusals').innerText()));
    assert.equal(await page.getByRole('button', { name: /^Apply/ }).count(), 0, 'what is refused cannot be applied');
    await t.shot(page, 'plan-refused');
    await write(page, () => text.replace('spacing: 100ms', 'spacing: 50ms'));
    await page.getByLabel('Mesh document').press('Control+Enter');
    const apply = page.getByRole('button', { name: /^Apply: 12 pairs change/ });
    await apply.waitFor();
    await page.locator('summary').click();
    assert.match(await page.locator('.side').innerText(), /~ backbone\/bulk ams > fra {2}spacing 100ms -> 50ms/);
    assert.deepEqual(await page.locator('.diff .add').allInnerTexts().then((x) => x.length), 1);
    await t.shot(page, 'plan');
    await t.axe(page, 'a plan');
    await page.locator('.side').getByLabel('Reason').fill('ticket 4711');
    await page.locator('.side').getByLabel('Your name').fill(AUTHOR);
    await apply.click();
    await said(page, /Applied: generation \d+/);
    const generation = Number((await notice(page)).match(/generation (\d+)/)[1]);
    assert.match(await t.fleet.ctl('schedule', 'show', 'backbone', '--document'), /spacing: 50ms/);

    await page.goto(`${t.base}/#/schedule?view=history&generation=${generation}`);
    await wait('what changed, by whom and why', async () => /apply backbone \(ticket 4711\)/.test(await page.locator('main').innerText()));
    assert.equal(await page.locator('.diff .del').count(), 1);
    await page.goto(`${t.base}/#/schedule?view=history&generation=${generation - 1}`);
    await page.getByRole('button', { name: 'Plan the way back' }).click();
    await dialog(t, page, page.getByRole('button', { name: `Roll back to ${generation - 1}...` }), 'Roll back', { Reason: 'it was a test' });
    await said(page, /runs again, as generation/);
    assert.match(await t.fleet.ctl('schedule', 'show', 'backbone', '--document'), /spacing: 100ms/);
    await page.goto(`${t.base}/#/schedule`);
    await wait('all agents to run it', async () => /runs on 4 of 4 agents/.test(await page.locator('main').innerText()));
  },

  async a_mesh_is_paused_and_resumed(t) {
    const page = await open(t, 'schedule');
    await dialog(t, page, row(page, 'Meshes', 'backbone').getByRole('button', { name: /Pause/ }), 'Pause', { Reason: 'window' });
    await said(page, /backbone is paused/);
    await wait('the page to show it', async () => (await row(page, 'Meshes', 'backbone').innerText()).includes('paused'));
    await dialog(t, page, row(page, 'Meshes', 'backbone').getByRole('button', { name: /Resume/ }), 'Resume');
    await said(page, /measured again/);
    await wait('the page to show it', async () => (await row(page, 'Meshes', 'backbone').innerText()).includes('active'));
  },

  async an_alert_is_acknowledged_and_silenced(t) {
    const page = await open(t, 'alerts');
    await t.fleet.lose('ams', 'fra', 60);
    try {
      const alert = row(page, 'Alerts that go on', 'ams > fra').filter({ hasText: 'voice' }).filter({ hasText: 'loss' });
      await alert.first().waitFor({ timeout: 40000 });
      await wait('it to fire', async () => /firing/.test(await alert.first().innerText()));
      await t.shot(page, 'alerts');
      await dialog(t, page, alert.first().getByRole('button', { name: /Ack/ }), 'Acknowledge', { Reason: 'ticket 42' }, 'acknowledge');
      await said(page, /is acknowledged/);
      await wait('who works on it', async () => /browser-test works on it: ticket 42/.test(await alert.first().innerText()));
      const id = (await alert.first().getByRole('link').getAttribute('href')).match(/id=(\d+)/)[1];
      const { alert: told } = await page.evaluate((n) => fetch(`/api/v1/alerts/${n}`).then((r) => r.json()), id);
      assert.deepEqual([told.acked_by, told.ack_reason], [AUTHOR, 'ticket 42']);

      await page.goto(`${t.base}/#/alerts?id=${id}`);
      await wait('its labels', async () => /source\s+ams/.test(await page.locator('main').innerText()));
      await t.axe(page, 'one alert');
      await page.getByRole('button', { name: 'Silence...' }).click();
      assert.equal(await page.getByRole('dialog').getByLabel('Which alerts').inputValue(), 'metric=loss,mesh=backbone,class=voice,source=ams,target=fra');
      await page.getByRole('dialog').getByRole('button', { name: '30m' }).click();
      await page.getByRole('dialog').getByLabel('Reason').fill('carrier works');
      await page.getByRole('dialog').getByRole('button', { name: 'Silence', exact: true }).click();
      await said(page, /Silence \d+ holds until/);
      await page.goto(`${t.base}/#/alerts?view=silences`);
      const silence = row(page, 'Silences', 'carrier works');
      await silence.waitFor();
      await wait('what it keeps quiet', async () => /active[\s\S]*metric=loss/.test(await silence.innerText()));
      assert.match(await t.fleet.ctl('alert', 'silences'), /carrier works/);
      await dialog(t, page, silence.getByRole('button', { name: /End/ }), 'End it');
      await said(page, /is over/);
      await wait('it to be gone', async () => (await silence.count()) === 0);
    } finally {
      await t.fleet.lose('ams', 'fra', 0);
    }
    await page.goto(`${t.base}/#/alerts?view=explain&source=ams&target=fra`);
    await wait('which rules apply', async () => /rules? of \d+ apply/.test(await page.locator('main').innerText()));
    await page.goto(`${t.base}/#/alerts?view=history`);
    await row(page, 'Alerts that are over', 'ams > fra').first().waitFor({ timeout: 40000 });
  },

  async a_test_runs_to_its_end_with_the_numbers_of_twampctl(t) {
    const page = await open(t, 'test?source=ams&target=lon');
    await page.getByLabel('For', { exact: true }).fill('');
    await page.getByLabel('or so many probes').fill('150');
    await page.locator('summary').click();
    await page.getByLabel('Spacing').fill('20ms');
    await t.axe(page, 'the form of a test');
    await page.getByRole('button', { name: 'Start' }).click();
    await page.getByRole('progressbar').waitFor();
    await wait('probes while it runs', async () => (await page.locator('.probe-plot').count()) === 1);
    await t.shot(page, 'test-runs');
    await wait('it to be complete', async () => /complete/.test(await page.locator('main').innerText()));
    const id = page.url().match(/id=(\d+)/)[1];
    // In as many pieces as report periods were begun.
    const sum = (rows, key) => String(rows.reduce((n, row) => n + Number(row[key]), 0));
    const stored = await wait('the result', async () => ((rows) => sum(rows, 'sent') === '150' && rows)(await t.fleet.csv('test', 'show', id)));
    const shown = Object.fromEntries(await page.locator('.big-numbers > div').evaluateAll((all) => all.map((d) => [d.children[0].textContent, d.children[1].textContent])));
    assert.equal(shown.sent, '150');
    for (const key of ['sent', 'received', 'lost']) assert.equal(shown[key], sum(stored, key), key);
    await t.axe(page, 'a test');
    // From the list, without what this tab saw of it.
    await page.goto(`${t.base}/#/test`);
    await page.reload();
    await row(page, 'Tests on demand', id).getByRole('link').click();
    await wait('the stored numbers', async () => /sent\s*150/.test(await page.locator('.big-numbers').innerText()));
  },

  async a_test_is_stopped_and_goes_on_until_then_on_whatever_page(t) {
    const page = await open(t, 'test?source=ams&target=fra&mesh=backbone&class=voice');
    await page.getByLabel('For', { exact: true }).fill('10m');
    await page.getByRole('button', { name: 'Start' }).click();
    await page.getByRole('button', { name: 'Stop' }).waitFor();
    const address = page.url();
    await page.goto(`${t.base}/#/fleet`);
    await new Promise((r) => setTimeout(r, 7000));
    await page.goto(address);
    await wait('it to run still', async () => /running/.test(await page.locator('.bar').first().innerText()));
    await page.getByRole('button', { name: 'Stop' }).click();
    await wait('it to be stopped', async () => /stopped/.test(await page.locator('main').innerText()));
  },

  async what_cannot_be_tested_is_refused_in_the_words_of_the_controller(t) {
    t.allow(/4\d\d \(/);
    const page = await open(t, 'test?source=nosuch&target=fra');
    await page.getByRole('button', { name: 'Start' }).click();
    await wait('the refusal', async () => /nosuch/.test(await page.locator('form .error-box').innerText()));
  },

  async reports_group_compare_and_judge_as_the_api_does(t) {
    const page = await open(t, 'reports?by=source&from=-15m');
    await wait('a row for each source', async () => (await page.getByRole('table', { name: 'Report' }).locator('tbody tr').count()) === 4);
    const csv = await page.getByRole('link', { name: 'CSV', exact: true }).getAttribute('href');
    assert.match(csv, /^\/api\/v1\/report\?.*by=source.*format=csv/);
    const text = await page.evaluate((url) => fetch(url).then((r) => r.text()), csv);
    assert.equal(text.trim().split('\n').length, 5, 'a head and four groups');
    await page.goto(`${t.base}/#/reports?view=top&top=5&worst=delay_roundtrip_p99_seconds&from=-15m`);
    await wait('the worst five', async () => (await page.getByRole('table', { name: 'Report' }).locator('tbody tr').count()) === 5);
    await page.goto(`${t.base}/#/reports?view=compare&from=-1m`);
    await wait('before and now', async () => /\u2192/.test(await page.getByRole('table', { name: 'Report' }).innerText()));
    await t.axe(page, 'a comparison');
    await page.goto(`${t.base}/#/reports?view=sla&from=-2m&to=-1m`);
    await page.getByLabel('RTT p99').fill('1us');
    await page.keyboard.press('Enter');
    await wait('a verdict', async () => /[1-9]\d* missed/.test(await page.locator('main').innerText()));
    await t.shot(page, 'objectives');
    await t.axe(page, 'objectives');
  },

  async who_may_only_look_is_told_so_beside_each_button(t) {
    const viewer = { name: 'vera', role: 'viewer', by: 'token', tokens: true, csrf: null, session_ends: null };
    const prepare = (page) => page.route('**/api/v1/whoami', (r) => r.fulfill({ json: viewer }));
    const page = await open(t, 'fleet', { prepare });
    for (const [address, button] of [
      ['fleet?agent=ams', 'Drain...'],
      ['schedule', /Pause/],
      ['schedule?view=editor&mesh=backbone', 'Plan'],
      ['alerts?view=silences', 'New silence...'],
      ['test', 'Start'],
    ]) {
      await page.goto(`${t.base}/#/${address}`);
      const b = page.getByRole('button', { name: button }).first();
      await wait(`${address}: the button to be off`, async () => (await b.count()) > 0 && b.isDisabled());
      assert.match(await page.locator('.read-only').first().innerText(), /vera is a viewer; this needs an operator/);
    }
  },

  async operators_pages_fit_a_phone_and_are_accessible_light(t) {
    const page = await t.page(`${t.base}/`, { width: 390, scheme: 'light' });
    for (const address of ['fleet?agent=ams', 'schedule?view=editor&mesh=backbone', 'schedule?view=history', 'alerts?view=history', 'alerts?view=silences', 'alerts?view=receivers', 'alerts?view=rules', 'alerts?view=explain&source=ams&target=fra', 'reports?view=top', 'reports?view=compare', 'reports?view=sla']) {
      await page.goto(`${t.base}/#/${address}`);
      await page.waitForFunction(() => !document.querySelector('.loading') && document.querySelector('h1'), null, { timeout: 30000 });
      await t.axe(page, address);
      const over = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `${address} is ${over} px too wide`);
    }
    await t.shot(page, 'phone');
  },
};
