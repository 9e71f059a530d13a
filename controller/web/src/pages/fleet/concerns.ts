/* What is the matter with an agent now, in words, worst first. What was over long ago is in its details only. */
import { percent, plural, seconds } from '../../format';
import type { Agent } from '../ops/types';

export interface Concern {
  tone: 'critical' | 'warning' | 'info';
  text: string;
}

const rank = { critical: 0, warning: 1, info: 2 };
/* As `starved` among host trouble, docs/measuring.md. */
const CPU_WAIT = 0.2;

/* Files that an agent reads anew: what its health says when one cannot be used, or waits. */
export const files: readonly { key: string; title: string; text: string }[] = [
  { key: 'secrets_error', title: 'Secrets', text: 'secrets: ' },
  { key: 'access_error', title: 'Access lists', text: 'access lists: ' },
  { key: 'https_error', title: 'HTTPS certificate', text: 'HTTPS certificate: ' },
  { key: 'config_error', title: 'Configuration', text: 'configuration: ' },
  { key: 'restart_needed', title: 'Restart needed', text: 'needs a restart for ' },
];
export const told = (a: Agent, key: string): string | null => (typeof a.health?.[key] === 'string' && a.health[key] !== '' ? (a.health[key] as string) : null);

type Check = (a: Agent) => Concern | null | false;
const say = (tone: Concern['tone'], text: string): Concern => ({ tone, text });
const number = (a: Agent, key: string): number => (typeof a.health?.[key] === 'number' ? (a.health[key] as number) : 0);

const checks: readonly Check[] = [
  (a) => a.state === 'down' && say('critical', 'not connected'),
  (a) => a.state === 'pending' && say('info', 'waits for approval'),
  (a) => a.state === 'up' && a.generation !== a.generation_wanted && say('warning', `runs generation ${a.generation}, not ${a.generation_wanted}`),
  (a) => a.refusals.length > 0 && say('warning', `refuses ${plural(a.refusals.length, 'session')}`),
  (a) => a.clock !== null && (a.clock.verdict === 'offset' || a.clock.verdict === 'either') && say('warning', clockText(a)),
  (a) => a.state === 'up' && a.health !== null && a.health.clock !== null && !a.health.clock.synced && say('warning', 'clock is not synchronised'),
  (a) => a.health !== null && a.health.spool_dropped > 0 && say('warning', `spool dropped ${plural(a.health.spool_dropped, 'summary', 'summaries')}`),
  ...files.map((f): Check => (a) => told(a, f.key) !== null && say('warning', f.text + told(a, f.key))),
  (a) => number(a, 'names_unresolved') > 0 && say('warning', `${plural(number(a, 'names_unresolved'), 'target name')} without an address`),
  (a) => a.state === 'up' && number(a, 'host_cpu_wait_ratio') >= CPU_WAIT && say('warning', `waited for a CPU up to ${percent(number(a, 'host_cpu_wait_ratio'))} of a second`),
  (a) => a.state === 'down' && number(a, 'spool_summaries') > 0 && say('info', `${plural(number(a, 'spool_summaries'), 'summary', 'summaries')} in its spool when last heard`),
  (a) => a.drained !== null && say('info', `drained${by(a.drained)}`),
  (a) => a.in_maintenance && say('info', 'in maintenance'),
  (a) => a.revoked !== null && say('info', `revoked${by(a.revoked)}`),
];

function by(mark: { author: string; reason: string }): string {
  return `${mark.author ? ` by ${mark.author}` : ''}${mark.reason ? `: ${mark.reason}` : ''}`;
}

export function clockText(a: Agent): string {
  const c = a.clock;
  if (!c) return '';
  if (c.verdict === 'either') return 'clock contradicts others: who is wrong cannot be told';
  const off = Math.abs(c.offset_ns) / 1e9;
  return `clock is ${seconds(off)} ${c.offset_ns > 0 ? 'ahead of' : 'behind'} the others (+- ${seconds(c.uncertainty_ns / 1e9)})`;
}

export function concerns(a: Agent): Concern[] {
  return checks
    .map((c) => c(a))
    .filter((c): c is Concern => !!c)
    .sort((x, y) => rank[x.tone] - rank[y.tone]);
}

/* For sorting: more and worse first. */
export function weight(list: readonly Concern[]): number {
  return list.reduce((n, c) => n + (c.tone === 'critical' ? 10_000 : c.tone === 'warning' ? 100 : 1), 0);
}
