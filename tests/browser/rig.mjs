/* What tests use: pages of Chromium that notice every error, fixtures, pictures, the accessibility check. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { chromium as engine } from 'playwright-core';
import { serve } from './server.mjs';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export const PAGES = ['matrix', 'alerts', 'fleet', 'schedule', 'test', 'reports', 'pair?mesh=backbone&class=voice&source=ams&target=fra'];

/* Polls until fn() returns something true, and returns it; says what was awaited and last seen otherwise. */
export async function wait(what, fn, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  let last;
  for (;;) {
    try {
      last = await fn();
      if (last) return last;
    } catch (e) {
      last = e;
    }
    if (Date.now() > end) throw new Error(`waited ${seconds} s for ${what}; last seen: ${String(last?.message ?? JSON.stringify(last)).slice(0, 500)}`);
    await new Promise((r) => setTimeout(r, 100));
  }
}

class Test {
  constructor(rig, name) {
    this.rig = rig;
    this.name = name;
    this.base = rig.base;
    this.fleet = rig.fleet;
    this.contexts = [];
    this.pages = [];
    this.servers = [];
    this.errors = [];
    this.allowed = []; // errors that the test expects
  }

  /* A window of its own. Options: width, height, scheme ("dark", "light"), touch, secure (HTTPS), prepare(page). */
  async page(url, o = {}) {
    const context = await this.rig.browser.newContext({
      viewport: { width: o.width ?? 1400, height: o.height ?? 900 },
      colorScheme: o.scheme ?? 'dark',
      hasTouch: !!o.touch,
      ignoreHTTPSErrors: !!o.secure, // the certificate is signed by itself
      // At the fleet's own controller as a program with a token; how people log in is in test_login.mjs.
      ...(process.env.TW_TOKEN && !o.secure ? { extraHTTPHeaders: { Authorization: `Bearer ${process.env.TW_TOKEN}` } } : {}),
      timezoneId: 'Asia/Kolkata', // the page shows UTC wherever one is
    });
    this.contexts.push(context);
    const page = await context.newPage();
    page.on('console', (m) => m.type() === 'error' && this.errors.push(`console: ${m.text()} (${m.location().url})`));
    page.on('pageerror', (e) => this.errors.push(`page: ${e.stack ?? e.message}`));
    page.on('request', (r) => {
      const u = new URL(r.url());
      if (!['data:', 'blob:'].includes(u.protocol) && u.origin !== new URL(url).origin) this.errors.push(`asked elsewhere: ${r.url()}`);
    });
    this.pages.push(page);
    await o.prepare?.(page);
    await page.goto(url);
    return page;
  }

  /* The address of a made-up controller with a mesh of so many agents. */
  async fixture(size) {
    const server = await serve(0, size);
    this.servers.push(server);
    return `http://127.0.0.1:${server.address().port}`;
  }

  async shot(page, name) {
    await page.screenshot({ path: path.join(this.rig.shots, `${name}.png`) });
  }

  /* No violation of what axe-core checks (WCAG 2.2 A and AA, best practices). */
  async axe(page, where) {
    await page.evaluate(`${axeSource}; undefined`); // by the debugger's protocol: the page's own policy would not let it in
    const found = await page.evaluate(async () => {
      const r = await window.axe.run(document, { resultTypes: ['violations'] });
      return r.violations.map((v) => `${v.id} (${v.impact}): ${v.help}: ${v.nodes.map((n) => `${n.target.join(' ')} [${n.any.map((a) => a.message).join('; ')}]`).slice(0, 4).join(' | ')}`);
    });
    assert.deepEqual(found, [], `${where}: axe-core`);
  }

  allow(pattern) {
    this.allowed.push(pattern);
  }

  async end() {
    const bad = this.errors.filter((e) => !this.allowed.some((a) => a.test(e)));
    await this.close();
    assert.deepEqual(bad, [], 'errors on the page');
  }

  async fail() {
    for (const [i, page] of this.pages.entries()) await page.screenshot({ path: path.join(this.rig.shots, `failed-${this.name}-${i}.png`) }).catch(() => undefined);
    for (const e of this.errors.slice(0, 10)) console.log(`# ${e}`);
    await this.close();
  }

  async close() {
    for (const c of this.contexts.splice(0)) await c.close();
    for (const s of this.servers.splice(0)) {
      s.closeAllConnections?.();
      s.close();
    }
  }
}

export async function open({ chromium, shots, base, fleet }) {
  const browser = await engine.launch({ executablePath: chromium, args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'] });
  const rig = { browser, shots, base, fleet, test: (name) => new Test(rig, name), close: () => browser.close() };
  return rig;
}

/* ---- the matrix ---- */

export async function matrixShown(page) {
  await page.waitForSelector('.matrix-box[data-pitch]', { timeout: 30000 });
  await page.waitForFunction(() => performance.getEntriesByName('matrix-draw').length > 0, null, { timeout: 30000 });
}

/* Moves the grid's active cell to the row and column of these names, by keys, and returns what it says. */
export async function cell(page, row, col) {
  const grid = page.locator('[role=gridcell]');
  await grid.focus();
  await page.keyboard.press('Control+Home');
  const at = () => page.evaluate(() => ({ row: document.querySelector('[role=gridcell]').dataset.row, col: document.querySelector('[role=gridcell]').dataset.col }));
  for (let i = 0; i < 250 && (await at()).row !== row; i++) await page.keyboard.press('ArrowDown');
  for (let i = 0; i < 250 && (await at()).col !== col; i++) await page.keyboard.press('ArrowRight');
  assert.deepEqual(await at(), { row, col });
  return grid.innerText();
}

/* What is drawn in the halves of a square, as names of the palette: { forward, backward }. By names of its row and column. */
export async function halves(page, row, col) {
  await cell(page, row, col);
  return page.evaluate(() => {
    const box = document.querySelector('.matrix-box');
    const canvas = box.querySelector('canvas');
    const el = document.querySelector('[role=gridcell]');
    const c = Number(el.getAttribute('aria-colindex')) - 2;
    const r = Number(el.parentElement.getAttribute('aria-rowindex')) - 2;
    const { left, top, pitch } = Object.fromEntries(Object.entries(box.dataset).map(([k, v]) => [k, Number(v)]));
    const dpr = canvas.width / canvas.clientWidth;
    const g = canvas.getContext('2d');
    const style = getComputedStyle(document.documentElement);
    const names = ['ok', 'info', 'warning', 'critical', 'unknown', 'off', 'none'].map((n) => [n, style.getPropertyValue(`--${n}-fill`).trim()]);
    for (let i = 0; i < 5; i++) names.push([`shade${i}`, style.getPropertyValue(`--shade-${i}`).trim()]);
    const hex = (d) => `#${[d[0], d[1], d[2]].map((v) => v.toString(16).padStart(2, '0')).join('')}`;
    const at = (fx, fy) => {
      const x = (left + c * pitch - box.scrollLeft + fx * pitch) * dpr;
      const y = (top + r * pitch - box.scrollTop + fy * pitch) * dpr;
      const color = hex(g.getImageData(Math.round(x), Math.round(y), 1, 1).data);
      return names.find(([, v]) => v.toLowerCase() === color)?.[0] ?? color;
    };
    // Clear of numbers, signs, corners and the diagonal.
    return { forward: at(0.66, 0.46), backward: at(0.34, 0.54) };
  });
}
