/* Serves the built page on 127.0.0.1, with the policy that the controller sends, and as its API either a fixture or another controller:
 *   node server.mjs PORT fixture SIZE | node server.mjs PORT http://CONTROLLER:8080 */
import { createServer, request } from 'node:http';
import { readFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { agents, alerts, matrix, status } from './fixture.mjs';
import * as pair from './fixture_pair.mjs';

const dist = fileURLToPath(new URL('../../controller/web/dist/', import.meta.url));
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
export const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

async function file(name, res) {
  const full = path.join(dist, path.normalize(name));
  try {
    const data = full.startsWith(dist) && (await readFile(full));
    res.writeHead(200, { 'Content-Type': types[path.extname(full)] ?? 'application/octet-stream', 'Content-Security-Policy': policy, 'X-Content-Type-Options': 'nosniff' });
    res.end(data);
  } catch {
    res.writeHead(404).end();
  }
}

function json(res, body) {
  const text = gzipSync(JSON.stringify(body), { level: 1 });
  res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip', 'Cache-Control': 'no-cache' }).end(text);
}

function events(res) {
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  res.write(`event: hello\ndata: ${JSON.stringify({ version: 'fixture', boot_id: 'fixture', http_write: false, versions: { published: 1 } })}\n\n`);
  res.write(`event: published\ndata: ${JSON.stringify({ at: new Date(Date.now() - (Date.now() % 10000)).toISOString(), version: 1 })}\n\n`);
}

function fixture(size, url, res) {
  const name = url.pathname.replace('/api/v1/', '');
  if (name === 'events') events(res);
  else if (name === 'whoami') json(res, { name: 'local', role: 'viewer', by: 'address', tokens: false, csrf: null, session_ends: null });
  else if (name === 'matrix') json(res, matrix(size, url.searchParams));
  else if (name === 'agents') json(res, agents(size, Date.now()));
  else if (name === 'status') json(res, status(size, Date.now()));
  else if (name === 'alerts') json(res, alerts(size, Date.now()));
  else if (Object.hasOwn(pair, name)) json(res, pair[name](url.searchParams));
  else res.writeHead(404, { 'Content-Type': 'application/json' }).end('{"error":"the fixture has no such answer"}');
}

function proxy(base, req, res) {
  const up = request(new URL(req.url, base), { method: req.method, headers: { ...req.headers, host: new URL(base).host, origin: new URL(base).origin } }, (r) => {
    res.writeHead(r.statusCode, r.headers);
    r.pipe(res);
  });
  up.on('error', () => res.destroy());
  res.on('close', () => up.destroy());
  req.pipe(up);
}

/* api: a number is the size of a fixture, a text the address of a controller. */
export function serve(port, api) {
  const server = createServer((req, res) => {
    const url = new URL(req.url, 'http://localhost');
    if (!url.pathname.startsWith('/api/')) void file(url.pathname === '/' ? 'index.html' : url.pathname, res);
    else if (typeof api === 'number') fixture(api, url, res);
    else proxy(api, req, res);
  });
  return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(server)));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [port, kind, size] = process.argv.slice(2);
  if (!kind || (kind === 'fixture' && !(Number(size) > 0))) {
    console.error('usage: server.mjs PORT fixture SIZE | server.mjs PORT http://CONTROLLER:8080');
    process.exit(2);
  }
  await serve(Number(port), kind === 'fixture' ? Number(size) : kind);
}
