/* Runs the tests of all test_*.mjs beside this file, or those whose name contains a word given; started by run.py. */
import { readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { open } from './rig.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const words = process.argv.slice(2);

const replies = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const fleet = new Proxy(
  {},
  {
    get: (_, name) =>
      async (...args) => {
        process.stdout.write(`@${JSON.stringify({ do: name, args })}\n`);
        const answer = JSON.parse((await replies.next()).value);
        if (answer.error) throw new Error(`${String(name)}: ${answer.error}`);
        return answer.value;
      },
  },
);

const tests = [];
for (const file of readdirSync(here).filter((f) => /^test_.*\.mjs$/.test(f)).sort()) {
  const part = file.slice(5, -4);
  for (const [name, run] of Object.entries((await import(`./${file}`)).default)) {
    const full = `browser.${part}.${name}`;
    if (words.length === 0 || words.some((w) => full.includes(w))) tests.push({ name: full, run });
  }
}

const rig = await open({ chromium: process.env.TW_CHROMIUM, shots: process.env.TW_SHOTS, base: process.env.TW_URL, fleet });
let good = tests.length > 0;
for (const { name, run } of tests) {
  const begin = Date.now();
  const t = rig.test(name);
  try {
    await run(t);
    await t.end();
    console.log(`ok ${name}  # ${((Date.now() - begin) / 1000).toFixed(1)} s`);
  } catch (e) {
    good = false;
    console.log(`# ${String(e.stack ?? e).split('\n').join('\n# ')}`);
    await t.fail();
    console.log(`not ok ${name}  # ${((Date.now() - begin) / 1000).toFixed(1)} s`);
  }
}
await rig.close();
process.stdout.write(`@${JSON.stringify({ do: 'end', good })}\n`, () => process.exit(good ? 0 : 1));
