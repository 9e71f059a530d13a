/* What /api/v1/series, /timeline, /completeness, /pairs and /report say of one pair: the members that this page uses. */
import type { Loss, PairNumbers, Time } from '../../api/types';

export type Direction = 'roundtrip' | 'forward' | 'backward';

/* A step, a summary, a pair over a span: the same members everywhere (docs/measuring.md). */
export interface Numbers extends Loss {
  status?: string | null;
  level?: string; // of a step: what it is made of
  loss_runs: number;
  one_way_valid: boolean | null;
  one_way_error_bound_seconds: number | null;
  clock_local_synced: boolean | null;
  clock_remote_known: boolean | null;
  clock_remote_synced: boolean | null;
  host_trouble: string | null;
  send_errors: number;
  [more: string]: unknown;
}

export interface Heat {
  direction: Direction;
  bounds_ns: [number, number][]; // of each row
  columns: number[][]; // of each step: row, count, row, count, ...
}

/* Few numbers, and of the round trip only. */
export interface FlowStep {
  start_ns: number;
  sent: number;
  received: number;
  lost: number;
  loss_ratio: number | null;
  delay_roundtrip_p50_seconds: number | null;
  delay_roundtrip_p95_seconds: number | null;
  delay_roundtrip_jitter_rfc3550_seconds: number | null;
}
export interface FlowSeries {
  flow: number;
  steps: FlowStep[];
}

export interface Series {
  pair: Partial<PairNumbers>;
  from: Time;
  to: Time;
  step_ns: number;
  truncated: boolean;
  scheduled: { from_ns: number; until_ns: number; report_period_ns: number }[];
  steps: Numbers[]; // those in which anything is stored
  heat?: Heat | null;
  flows?: FlowSeries[] | null;
}

export interface TimelineEvent {
  at: Time;
  until: Time; // null: a moment, or it goes on
  ongoing: boolean;
  kind: string;
  severity: string;
  title: string;
  detail: string;
  subject?: Record<string, unknown> | null;
}
export interface Timeline {
  events: TimelineEvent[];
  truncated: boolean;
}

export const CAUSES = ['refused', 'dropped', 'agent_down', 'awaited', 'unknown'] as const;
export type Cause = (typeof CAUSES)[number];
export interface Hour {
  start: Time;
  expected: number;
  stored: number;
  missing: Record<Cause, number> | null;
}
export interface Completeness {
  hours: Hour[];
  truncated: boolean;
}

export interface PairNow {
  mesh: string;
  class: string;
  source: string;
  target: string;
  state: string;
  scheduled: boolean;
  maintenance_now: boolean;
  report_period_ns: number;
  scheduled_since: Time;
  flows: number;
  last: (Numbers & { status: string | null }) | null;
}
export interface PairsNow {
  time: Time;
  pairs: PairNow[];
}
