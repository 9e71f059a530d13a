/* What the controller answers (docs/api.md, docs/schema, docs/openapi.json): the members that pages use. Whole numbers of nanoseconds do
 * not fit a double, so times are taken from the RFC 3339 texts beside them. */

export type Time = string | null;

export interface Clock {
  synced: boolean;
  max_error_ns: number;
  steps: number;
}

export interface Health {
  time: Time;
  started: Time;
  clock: Clock;
  spool_summaries: number;
  spool_backlog: number;
  spool_bytes: number;
  spool_dropped: number;
  sessions: number;
  probes_sent: number;
  host_stalls: number;
  host_cpu_wait_ratio: number | null;
  reflector_drops: number;
  sender_drops: number;
  [more: string]: unknown;
}

export interface Agent {
  name: string;
  state: 'pending' | 'up' | 'down' | 'revoked';
  fingerprint: string;
  labels: Record<string, string>;
  addresses: string[];
  software: string;
  peer_address: string;
  approved: Time;
  last_contact: Time;
  generation: number;
  generation_wanted: number;
  pairs: number;
  refusals: unknown[];
  drained: unknown;
  in_maintenance: boolean;
  health: Health | null;
}
export interface Agents {
  time: Time;
  generation: number;
  agents: Agent[];
}

export interface Mesh {
  name: string;
  description: string;
  topology: string;
  classes: string[];
  pairs: number;
  paused: boolean;
  generation: number;
  changed: Time;
  author: string;
  agents: number;
  runs: string;
  next_run: Time;
  pairs_idle: number;
  in_maintenance: boolean;
}
export interface Schedule {
  generation: number;
  meshes: Mesh[];
}

export interface RolloutRow {
  agent: string;
  state: string;
  generation: number;
  current: boolean;
  refusals: number;
  word: string;
  acked: Time;
  behind: Time;
  sessions_wanted: number;
  sessions_running: number;
}
export interface Rollout {
  generation: number;
  rollout: RolloutRow[];
  agents: number;
  agents_current: number;
  agents_behind: number;
  agents_away: number;
  agents_refusing: number;
}

export type SeverityWord = 'info' | 'warning' | 'critical';
export interface Alert {
  id: number;
  state: 'pending' | 'firing' | 'resolved';
  severity: SeverityWord;
  kind: 'pair' | 'agent' | 'site';
  subject: string;
  metric: string;
  direction: string;
  rule: string;
  mesh: string;
  class: string;
  source: string;
  target: string;
  value: { value: number } | null;
  worst: { value: number } | null;
  level: { value: number } | null;
  summary: string;
  pending: Time;
  fired: Time;
  ended: Time;
  quiet: string;
  quiet_reason: string;
  acked: Time;
  acked_by: string;
  ack_reason: string;
  bad_pairs: number;
  pairs: number;
}
export interface Alerts {
  alerts: Alert[];
}

export interface TestInfo {
  test_id: number;
  started: Time;
  ended: Time;
  author: string;
  what: string;
  settings: string;
  state: string;
  runs: number;
  queued: number;
  running: number;
  done: number;
  failed: number;
}
export interface Tests {
  tests: TestInfo[];
  truncated: boolean;
}

/* What is lost of what was sent in a span. */
export interface Loss {
  start: Time;
  end: Time;
  sent: number;
  received: number;
  lost: number;
  lost_forward: number;
  lost_backward: number;
  lost_unknown: number;
  loss_ratio: number | null;
  loss_forward_ratio: number | null;
  loss_backward_ratio: number | null;
  loss_unknown_ratio: number | null;
}

/* The numbers of a pair over a span. */
export interface PairNumbers extends Loss {
  mesh: string;
  class: string;
  source: string;
  target: string;
  scheduled: boolean;
  state: string;
  status: string | null;
  delay_roundtrip_p50_seconds: number | null;
  delay_roundtrip_p95_seconds: number | null;
  delay_roundtrip_p99_seconds: number | null;
  delay_roundtrip_jitter_rfc3550_seconds: number | null;
  delay_forward_p50_seconds: number | null;
  delay_forward_p95_seconds: number | null;
  delay_backward_p50_seconds: number | null;
  delay_backward_p95_seconds: number | null;
  one_way_valid: boolean | null;
  availability_ratio: number | null;
  completeness: { expected: number; stored: number; ratio: number | null };
}
export interface Report {
  from: Time;
  to: Time;
  truncated: boolean;
  pairs: PairNumbers[];
}

export interface Outage {
  mesh: string;
  class: string;
  source: string;
  target: string;
  flow: number;
  start: Time;
  end: Time;
  duration_seconds: number;
  probes: number;
  direction: string;
  ongoing: boolean;
}
export interface Outages {
  truncated: boolean;
  outages: Outage[];
}
