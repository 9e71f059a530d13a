/* A controller made of numbers: answers the page as the controller does (docs/api.md), for meshes larger than a test can start, and
 * for states that cannot be had at will. Deterministic: the same size is the same mesh. */
const STATES = ['ok', 'partial', 'all_lost', 'no_data', 'agent_down', 'paused', 'idle', 'refused'];

/* xorshift32 */
function random(seed) {
  let x = seed >>> 0 || 1;
  return () => {
    x ^= x << 13;
    x >>>= 0;
    x ^= x >>> 17;
    x ^= x << 5;
    x >>>= 0;
    return x / 2 ** 32;
  };
}

const severity = (v, levels) => (v === null ? null : levels === null ? null : v >= levels.critical ? 3 : v >= levels.warning ? 2 : 0);

export function names(n) {
  return Array.from({ length: n }, (_, i) => `site${String(Math.floor(i / 4) + 1).padStart(2, '0')}-host${(i % 4) + 1}`);
}

const levelsOf = (metric) => (metric === 'loss' ? { warning: 0.005, critical: 0.03 } : metric === 'p95' ? { warning: 0.06, critical: 0.09 } : null);

function delays(rnd, valid) {
  const one = 0.005 + rnd() * 0.03 + (rnd() < 0.01 ? 0.04 : 0);
  const back = one * (0.9 + rnd() * 0.2);
  return [valid ? one : null, valid ? back : null, one + back, null];
}
function losses(rnd) {
  const bad = rnd();
  const loss = bad < 0.01 ? 0.03 + rnd() * 0.3 : bad < 0.03 ? 0.005 + rnd() * 0.02 : bad < 0.1 ? rnd() * 0.004 : 0;
  const forward = rnd() < 0.5 ? loss : 0;
  return [forward, loss - forward, loss, 0];
}

function cell(rnd, metric, levels, s, t, downs) {
  const valid = (s + t) % 5 !== 0;
  const odd = rnd();
  const state = downs.has(s) ? 'agent_down' : odd < 0.002 ? 'all_lost' : odd < 0.006 ? 'no_data' : odd < 0.007 ? STATES[5 + Math.floor(rnd() * 3)] : 'ok';
  const numbers = metric === 'loss' ? losses(rnd) : delays(rnd, valid);
  if (state === 'all_lost') return [s, t, state, 3, ...(metric === 'loss' ? [0, 0, 1, 1] : [null, null, null, null]), null, null, metric === 'loss' ? 3 : null, 4];
  if (state !== 'ok') return [s, t, state, null, null, null, null, null, null, null, null, 0];
  const severities = numbers.slice(0, 3).map((v) => severity(v, levels));
  const worst = severities.reduce((a, b) => (b !== null && (a === null || b > a) ? b : a), null);
  const flags = (metric !== 'loss' && !valid ? 1 : 0) | (s === 3 ? 2 : 0) | (worst === 3 ? 4 : 0);
  return [s, t, metric === 'loss' && numbers[2] > 0 ? 'partial' : state, worst, ...numbers, ...severities, flags];
}

/* Every pair but those of node 7 to odd ones, which are not scheduled. */
export function matrix(n, query, now = Date.now()) {
  const metric = query.get('metric') || 'loss';
  const at = query.get('at') ? Date.parse(query.get('at')) : now - (now % 10000);
  const levels = levelsOf(metric);
  const rnd = random(n * 7919 + metric.length + (query.get('at') ? Math.floor(at / 10000) * 31 : 0));
  const all = names(n);
  const downs = new Set(n > 8 ? [5] : []);
  const cells = [];
  for (let s = 0; s < n; s++) for (let t = 0; t < n; t++) if (s !== t && !(s === 7 && t % 2)) cells.push(cell(rnd, metric, levels, s, t, downs));
  return {
    schema: 'twampmesh/matrix/v1',
    at: new Date(at).toISOString(),
    age_s: (now - at) / 1000,
    live: !query.get('at'),
    mesh: query.get('mesh') || 'fixture',
    class: query.get('class') || 'voice',
    metric,
    unit: metric === 'loss' ? 'ratio' : 's',
    period_ns: 10_000_000_000,
    levels,
    choices: [{ mesh: 'fixture', classes: ['voice', 'bulk'] }],
    nodes: all.map((name, i) => ({ name, labels: { site: name.slice(0, 6), region: ['eu', 'us', 'ap'][Math.floor((i * 3) / n)] }, state: downs.has(i) ? 'down' : 'up' })),
    cells,
  };
}

export function alerts(n, now) {
  const m = matrix(n, new URLSearchParams(), now);
  return {
    schema: 'twampmesh/alert-list/v1',
    alerts: m.cells
      .filter((c) => c[11] & 4)
      .slice(0, 200)
      .map((c, i) => ({
        id: i + 1,
        state: 'firing',
        severity: 'critical',
        kind: 'pair',
        subject: `${m.nodes[c[0]].name} > ${m.nodes[c[1]].name}`,
        metric: 'loss',
        direction: '',
        rule: 'voice-loss',
        mesh: 'fixture',
        class: 'voice',
        source: m.nodes[c[0]].name,
        target: m.nodes[c[1]].name,
        value: { value: c[6] },
        worst: { value: c[6] },
        level: { value: 0.03 },
        summary: 'loss (raised at 3%)',
        pending: new Date(now - 60_000 * (1 + (i % 90))).toISOString(),
        fired: new Date(now - 60_000 * (1 + (i % 90))).toISOString(),
        ended: null,
        quiet: '',
        quiet_reason: '',
        acked: null,
        acked_by: '',
        ack_reason: '',
        bad_pairs: 0,
        pairs: 0,
      })),
  };
}

export function agents(n, now) {
  return {
    schema: 'twampmesh/agents/v1',
    generation: 1,
    agents: matrix(n, new URLSearchParams(), now).nodes.map((node, i) => ({
      addresses: [],
      peer_address: '',
      software: 'twamp-agent 0.2.0',
      refusals: [],
      health: null,
      clock: null,
      drained: null,
      revoked: null,
      in_maintenance: false,
      maintenance: [],
      pairs: n - 1,
      generation_wanted: 1,
      controller: node.state === 'down' ? '' : `ctl-${(i % 2) + 1}`,
      ...node,
      generation: 1,
      last_contact: new Date(now - (node.state === 'down' ? 600_000 : 1000)).toISOString(),
    })),
  };
}

/* Three controllers, of which one died a while ago. */
export function status(n, now) {
  const at = (ms) => new Date(now - ms).toISOString();
  const one = (name, change) => ({
    name,
    state: 'up',
    self: false,
    version: '0.2.0',
    host: name,
    agents_address: `tls+tcp://${name}.example.net:8620`,
    http_address: `https://${name}.example.net:8443`,
    started: at(86_400_000),
    gone: null,
    agents: Math.floor(n / 2),
    planner: false,
    ready: true,
    problem: '',
    twin: false,
    other_release: false,
    ...change,
  });
  return {
    controllers: [
      one('ctl-1', { self: true, planner: true }),
      one('ctl-2', { ready: false, problem: 'history at ch-1.example.net:8443/twamp cannot be used' }),
      one('ctl-3', { state: 'missing', gone: at(200_000), http_address: 'javascript:alert(1)', ready: false, agents: 0 }),
    ],
  };
}
