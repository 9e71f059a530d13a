/* A pair of the fixture over time: what /api/v1/series and its neighbours say of it. Deterministic: the same period is the same numbers, at
 * whatever step one looks. Counted from now, so that each kind of trouble is in the last hour:
 *   50 to 46 min ago  the source is down: nothing is stored           30 min ago  the way changes: longer, TTL one less
 *   20 to 18 min ago  3 % are lost on the way out                     10 min ago  30 s of total loss
 *   40 to 35 min ago  the clocks do not agree */
const PERIOD = 10_000;
const MIN = 60_000;
const DAY = 24 * 60 * MIN;
const STEPS = [10e3, 20e3, 30e3, MIN, 2 * MIN, 5 * MIN, 10 * MIN, 30 * MIN, 60 * MIN, 6 * 60 * MIN, DAY];
const PROBES = 100;

function noise(n) {
  let x = (n * 2654435761) >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x45d9f3b) >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x45d9f3b) >>> 0;
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
}
const quantile = (sorted, q) => (sorted.length ? sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] : null);
const iso = (ms) => new Date(ms).toISOString();

/* Series, report and comparison look at the same periods. */
const known = new Map();
function period(t, begin, flow) {
  const key = `${t} ${begin} ${flow}`;
  if (known.size > 20_000) known.clear();
  if (!known.has(key)) known.set(key, makePeriod(t, begin, flow));
  return known.get(key);
}

/* One report period: delays of its probes, and what was lost. null: not stored. */
function makePeriod(t, begin, flow) {
  const age = begin - t;
  if (age > 46 * MIN && age <= 50 * MIN) return null;
  const slot = t / PERIOD + flow * 7_000_003;
  const day = Math.sin((t / (DAY)) * 2 * Math.PI);
  const base = 0.011 + 0.0012 * day + (age < 30 * MIN && age > 0 ? 0.004 : 0) + flow * 0.0006;
  const dead = age > 9.5 * MIN && age <= 10 * MIN;
  const forward = dead ? 0 : age > 18 * MIN && age <= 20 * MIN ? 3 + Math.floor(noise(slot) * 3) : noise(slot) < 0.01 ? 1 : 0;
  const backward = !dead && noise(slot + 5) < 0.008 ? 1 : 0;
  const unknown = dead ? PROBES : 0;
  const rtts = [];
  for (let i = 0; i < PROBES - forward - backward - unknown; i++) {
    const u = noise(slot * 131 + i);
    const tail = u > 0.985 ? 0.012 * noise(slot * 17 + i) : 0;
    rtts.push(base + 0.0008 * -Math.log(1 - u * 0.98) + tail);
  }
  return { t, rtts, forward, backward, unknown, invalid: age > 35 * MIN && age <= 40 * MIN, ttl: age > 0 && age < 30 * MIN ? 56 : 57, tos: age > 0 && age < 30 * MIN ? 0 : 184 };
}

function delays(name, values) {
  const v = [...values].sort((a, b) => a - b);
  const k = (what) => `delay_${name}_${what}`;
  const at = (q) => quantile(v, q);
  let diff = 0;
  for (let i = 1; i < values.length; i++) diff += Math.abs(values[i] - values[i - 1]);
  const ipdv = values.length > 1 ? diff / (values.length - 1) : null;
  return {
    [k('count')]: v.length,
    [k('min_seconds')]: v[0] ?? null,
    [k('mean_seconds')]: v.length ? v.reduce((a, b) => a + b, 0) / v.length : null,
    [k('p50_seconds')]: at(0.5),
    [k('p90_seconds')]: at(0.9),
    [k('p95_seconds')]: at(0.95),
    [k('p99_seconds')]: at(0.99),
    [k('p999_seconds')]: at(0.999),
    [k('max_seconds')]: v[v.length - 1] ?? null,
    [k('jitter_rfc3550_seconds')]: ipdv === null ? null : ipdv * 0.9,
    [k('jitter_ipdv_seconds')]: ipdv,
    [k('jitter_p95_p50_seconds')]: v.length ? at(0.95) - at(0.5) : null,
  };
}

const SHARES = { forward: 0.52, backward: 0.48, roundtrip: 1 };

/* The numbers of some periods together, as stats_view names them. */
function numbers(parts, startMs, endMs) {
  const sum = (f) => parts.reduce((n, p) => n + f(p), 0);
  const sent = parts.length * PROBES;
  const lost = { forward: sum((p) => p.forward), backward: sum((p) => p.backward), unknown: sum((p) => p.unknown) };
  const all = lost.forward + lost.backward + lost.unknown;
  const rtts = parts.flatMap((p) => p.rtts);
  const offset = parts.some((p) => p.invalid) ? 0.006 : 0;
  const ratio = (n) => (sent ? n / sent : null);
  const ttl = parts.map((p) => p.ttl);
  const tos = parts.map((p) => p.tos);
  const any = rtts.length > 0;
  return {
    status: all === 0 ? 'ok' : all === sent ? 'all_lost' : 'partial',
    start: iso(startMs),
    start_ns: startMs * 1e6,
    end: iso(endMs),
    end_ns: endMs * 1e6,
    sent,
    received: sent - all,
    lost: all,
    lost_forward: lost.forward,
    lost_backward: lost.backward,
    lost_unknown: lost.unknown,
    send_errors: 0,
    loss_ratio: ratio(all),
    loss_forward_ratio: ratio(lost.forward),
    loss_backward_ratio: ratio(lost.backward),
    loss_unknown_ratio: ratio(lost.unknown),
    ...delays('forward', rtts.map((v) => v * SHARES.forward + offset)),
    ...delays('backward', rtts.map((v) => v * SHARES.backward - offset)),
    ...delays('roundtrip', rtts),
    loss_runs: all,
    loss_run_longest: Math.max(0, ...parts.map((p) => p.unknown)),
    loss_run_longest_seconds: 0,
    ttl_forward_min: any ? Math.min(...ttl) : null,
    ttl_forward_max: any ? Math.max(...ttl) : null,
    ttl_backward_min: any ? 58 : null,
    ttl_backward_max: any ? 58 : null,
    tos_forward_min: any ? Math.min(...tos) : null,
    tos_forward_max: any ? Math.max(...tos) : null,
    tos_backward_min: any ? 184 : null,
    tos_backward_max: any ? 184 : null,
    tos_sent: 184,
    clock_local_synced: true,
    clock_remote_known: true,
    clock_remote_synced: !offset,
    clock_local_error_seconds: 0.0002,
    clock_remote_error_seconds: offset ? 16 : 0.0003,
    clock_steps: 0,
    clock_remote_steps: 0,
    one_way_error_bound_seconds: offset ? 16 : 0.0005,
    one_way_valid: !offset,
    host_trouble: 'none',
    windows_available: parts.filter((p) => p.rtts.length).length,
    windows_unavailable: parts.filter((p) => !p.rtts.length).length,
    windows_unknown: 0,
    availability_ratio: parts.length ? parts.filter((p) => p.rtts.length).length / parts.length : null,
    mos_g711: 4.3,
  };
}

function moment(text, now, fallback) {
  if (!text) return fallback;
  const d = /^-(\d+)(s|m|h|d)$/.exec(text);
  return d ? now - Number(d[1]) * { s: 1e3, m: MIN, h: 60 * MIN, d: DAY }[d[2]] : Date.parse(text);
}
function spanOf(query, now) {
  const edge = Math.floor(now / PERIOD) * PERIOD;
  return { from: moment(query.get('from'), now, now - 60 * MIN), to: Math.min(edge, moment(query.get('to'), now, now)) };
}

const bound = (i) => Math.round(2e6 * 10 ** ((i / 64) * 1.6));
const BOUNDS = Array.from({ length: 64 }, (_, i) => [bound(i), bound(i + 1)]);
function column(values) {
  const counts = new Map();
  for (const v of values) {
    const i = Math.max(0, Math.min(63, Math.floor(Math.log10(v / 2e-3) * (64 / 1.6))));
    counts.set(i, (counts.get(i) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => a[0] - b[0]).flat();
}

/* Thousands of periods in a step say no more than a few of them do. */
function stepsOf(from, to, step, begin, flow) {
  const out = [];
  for (let t = Math.floor(from / step) * step; t < to; t += step) {
    const n = step / PERIOD;
    const stride = Math.max(1, Math.floor(n / 6));
    const parts = [];
    for (let k = 0; k < n; k += stride) {
      const at = t + k * PERIOD;
      const p = at >= from - step && at < to ? period(at, begin, flow) : null;
      if (p) parts.push(p);
    }
    if (parts.length) out.push({ parts, view: numbers(parts, t, t + step) });
  }
  return out;
}

/* When the server started: troubles stay where they are while one looks. */
const BEGIN = Math.floor(Date.now() / MIN) * MIN;
const pairOf = (query) => Object.fromEntries(['mesh', 'class', 'source', 'target'].map((k) => [k, query.get(k) ?? '']));

const few = (v) => Object.fromEntries(['start_ns', 'sent', 'received', 'lost', 'loss_ratio', 'delay_roundtrip_p50_seconds', 'delay_roundtrip_p95_seconds', 'delay_roundtrip_jitter_rfc3550_seconds'].map((k) => [k, v[k]]));

export function series(query, now = Date.now()) {
  const { from, to } = spanOf(query, now);
  const points = Number(query.get('points') ?? 300);
  const step = STEPS.find((s) => (to - from) / s <= points) ?? STEPS.at(-1);
  const direction = query.get('heat') || 'roundtrip';
  const steps = stepsOf(from, to, step, BEGIN, 0);
  const answer = {
    schema: 'twampmesh/series/v1',
    pair: pairOf(query),
    from: iso(from),
    to: iso(to),
    step_ns: step * 1e6,
    truncated: false,
    scheduled: [{ from_ns: (BEGIN - 30 * DAY) * 1e6, until_ns: 9223372036854775807, report_period_ns: PERIOD * 1e6 }],
    steps: steps.map((s) => ({ ...s.view, level: step < MIN ? 'raw' : step < 10 * MIN ? '1min' : step < 60 * MIN ? '10min' : step < DAY ? '1h' : '1d', summaries: s.parts.length })),
    heat: { direction, bounds_ns: BOUNDS, columns: steps.map((s) => column(s.parts.flatMap((p) => p.rtts.map((v) => v * SHARES[direction])))) },
  };
  if (query.get('flows')) answer.flows = [0, 1, 2, 3].map((flow) => ({ flow, steps: stepsOf(from, to, step, BEGIN, flow).map((s) => few(s.view)) }));
  return answer;
}

export function timeline(query, now = Date.now()) {
  const { from, to } = spanOf(query, now);
  const { source, target } = pairOf(query);
  const event = (ago, until, kind, severity, title, detail) => ({
    at: iso(BEGIN - ago * MIN),
    until: until === null ? null : iso(BEGIN - until * MIN),
    ongoing: kind === 'maintenance',
    kind,
    severity,
    title,
    detail,
    number: 0,
    subject: { agent: null, mesh: null, class: null, source, target },
  });
  const all = [
    event(55, null, 'generation', 'info', 'generation 8', 'mesh fixture applied by ops'),
    event(50, 46, 'agent_down', 'critical', `${source} down`, 'no contact'),
    event(46, null, 'agent_restart', 'info', `${source} restarted`, ''),
    event(40, null, 'clock_step', 'warning', `clock of ${target} set`, '6.0 ms'),
    event(30, null, 'ttl_change', 'info', 'TTL forward 57 to 56', ''),
    event(20, 18, 'alert', 'warning', 'loss above 1%', 'rule voice-loss'),
    event(10, 9.5, 'alert', 'critical', 'all lost', 'rule voice-loss'),
    event(5, null, 'maintenance', 'info', `maintenance of ${target}`, 'ops: new cable'),
    event(3, 2, 'test', 'info', 'test 4', '1000 probes by ops'),
  ];
  return { schema: 'twampmesh/timeline/v1', events: all.filter((e) => Date.parse(e.at) < to && (e.ongoing || Date.parse(e.until ?? e.at) >= from)), truncated: false };
}

export function outages(query, now = Date.now()) {
  const { from, to } = spanOf(query, now);
  const runs = [];
  for (let t = Math.floor(from / PERIOD) * PERIOD; t < to && runs.length < 1000; t += PERIOD) {
    const p = to - from > 26 * 60 * MIN ? null : period(t, BEGIN, 0);
    if (p && p.unknown && BEGIN - t === 10 * MIN) runs.push([t, 30, 300, 'unknown']);
    else if (p && p.forward) runs.push([t + 2000, 0.1 * p.forward, p.forward, 'forward']);
    else if (p && p.backward) runs.push([t + 4000, 0.1, 1, 'backward']);
  }
  return {
    schema: 'twampmesh/outages/v1',
    truncated: false,
    outages: runs.reverse().map(([t, seconds, probes, direction]) => ({ ...pairOf(query), flow: 0, start: iso(t), end: iso(t + seconds * 1000), duration_seconds: seconds, probes, seq_first: 1, direction, ongoing: false, start_known: true })),
  };
}

export function completeness(query, now = Date.now()) {
  const { from, to } = spanOf(query, now);
  const hours = [];
  for (let t = Math.floor((BEGIN - 50 * MIN) / (60 * MIN)) * 60 * MIN; t < BEGIN - 46 * MIN; t += 60 * MIN) {
    const missing = Math.round((Math.min(BEGIN - 46 * MIN, t + 60 * MIN) - Math.max(BEGIN - 50 * MIN, t)) / PERIOD);
    if (t < to && t + 60 * MIN > from) hours.push({ pair: pairOf(query), start: iso(t), expected: 360, stored: 360 - missing, missing: { refused: 0, dropped: 0, agent_down: missing, awaited: 0, unknown: 0 } });
  }
  return { schema: 'twampmesh/completeness/v1', hours, truncated: false };
}

export function report(query, now = Date.now()) {
  const { from, to } = spanOf(query, now);
  const step = STEPS.find((s) => (to - from) / s <= 400) ?? STEPS.at(-1);
  const parts = stepsOf(from, to, step, BEGIN, 0).flatMap((s) => s.parts);
  const expected = Math.ceil(to / PERIOD) - Math.floor(from / PERIOD);
  const stored = step === PERIOD ? parts.length : expected;
  return {
    schema: 'twampmesh/report/v1',
    from: iso(from),
    to: iso(to),
    truncated: false,
    pairs: [{ ...pairOf(query), scheduled: true, state: 'ok', ...numbers(parts, from, to), completeness: { expected, stored, ratio: expected ? stored / expected : null } }],
  };
}

export function pairs(query, now = Date.now()) {
  const edge = Math.floor(now / PERIOD) * PERIOD - PERIOD;
  const one = (mesh, klass) => ({
    pair_id: 1,
    mesh,
    class: klass,
    source: query.get('source'),
    target: query.get('target'),
    scheduled: true,
    paused: false,
    state: 'ok',
    maintenance_now: true,
    flows: 4,
    report_period_ns: PERIOD * 1e6,
    scheduled_since: iso(BEGIN - 30 * DAY),
    last: numbers([period(edge, BEGIN, 0)], edge, edge + PERIOD),
  });
  return { schema: 'twampmesh/pairs/v1', time: iso(now), truncated: false, pairs: [one('fixture', 'voice'), one('fixture', 'bulk')] };
}
