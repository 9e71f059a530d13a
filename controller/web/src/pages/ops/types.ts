/* What the controller answers, as far as the pages for operators need more of it than src/api/types.ts says. */
import type { Agent as AgentBase, Alert as AlertBase, Mesh as MeshBase, PairNumbers, RolloutRow as RolloutBase, TestInfo, Time } from '../../api/types';

export interface Mark {
  time: Time;
  author: string;
  reason: string;
}
export interface AgentSpan {
  from: Time;
  to: Time;
  reason: string;
  author: string;
}
export interface ClockFinding {
  verdict: string;
  measured: boolean;
  offset_ns: number;
  uncertainty_ns: number;
  certain: boolean;
  pairs: number;
  pairs_used: number;
}
export interface Refusal {
  pair_id: number;
  flow: number;
  reason: string;
}
export interface Agent extends AgentBase {
  controller?: string; // of several
  reflector_port: number;
  control_port: number;
  capabilities: string[];
  own_labels: Record<string, string>;
  operator_labels: Record<string, string>;
  removed_labels: string[];
  refusals: Refusal[];
  drained: Mark | null;
  revoked: Mark | null;
  maintenance: AgentSpan[];
  former_names: string[];
  limits: { max_sessions: number; max_pps: number; max_bps: number } | null;
  clock: ClockFinding | null;
}

export interface Mesh extends MeshBase {
  document: string;
}
export interface RolloutRow extends RolloutBase {
  last_contact: Time;
  missing: number;
  extra: number;
  refused: { pair: { mesh: string; class: string; source: string; target: string } | null; flow: number; reason: string }[];
}
export interface Rollout {
  generation: number;
  rollout: RolloutRow[];
  truncated: boolean;
  agents: number;
  agents_current: number;
  agents_behind: number;
  agents_away: number;
  agents_refusing: number;
}

export interface PlanAgent {
  agent: string;
  pairs_before: number;
  pairs_after: number;
  packets_per_second: number | null;
  packets_per_second_before: number | null;
  bits_per_second: number | null;
  bits_per_second_before: number | null;
  reflected_packets_per_second: number | null;
}
export interface Excess {
  kind: string;
  agent: string;
  hard: boolean;
  text: string;
  contributors: { mesh: string; class: string; value: number | null; pairs: number }[];
  fits: string;
}
export interface Plan {
  pairs: number;
  added: number;
  removed: number;
  changed: number;
  agents: PlanAgent[];
  series: number;
  series_before: number;
  store_bytes_per_day: number | null;
  store_bytes_per_day_before: number | null;
  packets_per_second: number | null;
  packets_per_second_before: number | null;
  mean_packets_per_second: number | null;
  truncated: boolean;
  pairs_before: number;
  pairs_after: number;
  meshes: { mesh: string; action: string; paused: boolean; pairs: number; added: number; removed: number; changed: number; below_degree: number }[];
  changed_pairs: { action: string; mesh: string; class: string; source: string; target: string; what: string }[];
  changed_pairs_truncated: boolean;
  excesses: Excess[];
  excesses_all: number;
}
export interface DocumentError {
  line: number;
  column: number;
  path: string;
  text: string;
  file: string;
}
export interface Applied {
  generation: number;
  plan: Plan | null;
  error: DocumentError | null;
  unchanged: boolean;
}
export interface Generation {
  generation: number;
  first_generation: number;
  time: Time;
  author: string;
  what: string;
  reason: string;
  counted: boolean;
  pairs: number;
  added: number;
  removed: number;
  changed: number;
  kept: boolean;
  meshes: { mesh: string; action: string; diff: string; diff_truncated: boolean; lines_added: number; lines_removed: number }[];
}
export interface Generations {
  generation: number;
  generations: Generation[];
  truncated: boolean;
}

export interface Alert extends AlertBase {
  end_reason: string;
  cause: number;
  told: boolean;
  notices: number;
}
export interface AlertList {
  alerts: Alert[];
  truncated: boolean;
  pending: number;
  firing: number;
}
export interface AlertShow {
  alert: Alert;
  evidence: Alert[];
  labels: { key: string; value: string }[];
  receivers: string[];
}
export interface Silence {
  id: number;
  match: string;
  start: Time;
  end: Time;
  author: string;
  reason: string;
  made: Time;
  state: string;
  alerts: number;
}
export interface Receiver {
  name: string;
  kind: string;
  format: string;
  state: string;
  queued: number;
  queue_max: number;
  sent: number;
  failed: number;
  refused: number;
  dropped: number;
  last_sent: Time;
  last_failed: Time;
  last_error: string;
  next_try: Time;
}
export interface Rule {
  name: string;
  metric: string;
  direction: string;
  scope: string;
  matches: string;
  off: boolean;
  info: string;
  warning: string;
  critical: string;
  for_time_ns: number;
  clear_time_ns: number;
  baseline_time_ns: number;
  line: number;
  firing: number;
  pending: number;
}
export interface Rules {
  version: number;
  time: Time;
  author: string;
  reason: string;
  rules: Rule[];
}
export interface AlertDocument {
  version: number;
  time: Time;
  author: string;
  reason: string;
  document: string;
}
export interface ExplainRow {
  mesh: string;
  class: string;
  metric: string;
  direction: string;
  rule: string;
  applies: boolean;
  why: string;
  other: string;
  levels: string;
  state: string;
  alert: number;
  value: { value: number | null } | null;
  baseline: { value: number | null } | null;
  baseline_known_ns: number;
  baseline_wanted_ns: number;
}

/* The members of a summary that pages show; all others by name. */
export interface Total extends Omit<PairNumbers, 'mesh' | 'class' | 'source' | 'target' | 'scheduled' | 'state' | 'completeness'> {
  [name: string]: unknown;
}
export interface TestRun {
  pair_id: number;
  class: string;
  source: string;
  target: string;
  state: string;
  reason: string;
  started: Time;
  ended: Time;
  total: Total | null;
  in_flight: number;
  last_known: boolean;
  last_rtt_ns: number;
}
export interface Test extends TestInfo {
  count: number;
  duration_ns: number;
}
export interface Probe {
  seq: number;
  fate: string;
  way: string;
  t1: Time;
  t1_ns: number;
  timed: boolean;
  forward_ns: number;
  backward_ns: number;
}
export interface Progress {
  info: Test;
  runs: TestRun[];
  next_run: number;
  packets: { flow: number; total: number; records: Probe[] }[];
  recording: boolean;
}
export interface TestShow {
  tests: Test[];
  runs: TestRun[];
}

export interface Change {
  now: number | null;
  before: number | null;
  delta: number | null;
  ratio: number | null;
}
export interface ReportRow extends PairNumbers {
  pair_id: number;
  key?: string; // of groups
  pairs?: number;
  change?: Record<string, Change>;
  [name: string]: unknown;
}
export interface Report {
  from: Time;
  to: Time;
  before_from?: Time;
  before_to?: Time;
  truncated: boolean;
  pairs?: ReportRow[];
  groups?: ReportRow[];
}
export interface Goal {
  kind: string;
  limit: number | null;
  achieved: number | null;
  verdict: string;
  unit: string;
  budget: number | null;
  used: number | null;
  left: number | null;
}
export interface SlaPair {
  mesh: string;
  class: string;
  source: string;
  target: string;
  verdict: string;
  goals: Goal[];
  outages: { start: Time; end: Time; windows: number; flow: number }[];
  windows_unlisted: number;
  excluded: { from: Time; to: Time }[];
  inexact: boolean;
  periods_expected: number;
  periods_stored: number;
}
export interface Sla {
  from: Time;
  to: Time;
  pairs: SlaPair[];
  truncated: boolean;
  met: number;
  missed: number;
  unknown: number;
  next: number;
}
