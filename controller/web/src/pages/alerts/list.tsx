/* Alerts in a table, worst first. */
import { Table, type Column } from '../../ui/Table';
import { plural } from '../../format';
import { href } from '../../router';
import { Since, StateBadge } from '../../ui/parts';
import { Ask } from '../ops/dialog';
import type { Alert } from '../ops/types';
import { acknowledge, silenceOf } from './actions';

export const rank = { critical: 0, warning: 1, info: 2 };
const kinds = { site: 0, agent: 1, pair: 2 };
const states = { firing: 0, pending: 1, resolved: 2 };

/* Kept quiet by somebody or something; one that waits to be told (`wait`, in which what belongs together comes together) is not. */
export function hushed(a: Alert): boolean {
  return a.acked !== null || (a.quiet !== '' && a.quiet !== 'waiting');
}

/* Worst first: what fires before what may, then severity, sites before their pairs, then the oldest. */
export function worst(a: Alert): string {
  return `${states[a.state]}${hushed(a) ? 1 : 0}${rank[a.severity]}${kinds[a.kind]}${a.pending ?? ''}`;
}

/* Why nobody is told, in words. */
export function quietText(a: Alert): string {
  if (a.acked) return `${a.acked_by || 'somebody'} works on it${a.ack_reason ? `: ${a.ack_reason}` : ''}`;
  if (!a.quiet) return '';
  if (a.quiet === 'waiting') return 'not yet: waits for what belongs to it';
  return `${a.quiet.replace(/_/g, ' ')}${a.quiet_reason ? `: ${a.quiet_reason}` : ''}`;
}

const subject: Column<Alert> = {
  key: 'subject',
  title: 'Subject',
  sort: (a) => a.subject,
  cell: (a) => (
    <>
      <a href={href('alerts', { id: a.id })}>{a.subject}</a>
      {a.kind === 'pair' ? <div class="dim">{`${a.mesh}/${a.class}`}</div> : null}
    </>
  ),
};
const common: readonly Column<Alert>[] = [
  { key: 'severity', title: 'Severity', sort: (a) => rank[a.severity], cell: (a) => <StateBadge state={a.severity} /> },
  subject,
  {
    key: 'what',
    title: 'What',
    sort: (a) => a.metric,
    cell: (a) => (
      <>
        {a.summary}
        {a.bad_pairs ? <div class="dim">{`${a.bad_pairs} of ${plural(a.pairs, 'pair')} bad`}</div> : null}
      </>
    ),
  },
];
const rule: Column<Alert> = { key: 'rule', title: 'Rule', sort: (a) => a.rule, cell: (a) => a.rule || '-' };

export const going = (reload: () => void): readonly Column<Alert>[] => [
  ...common,
  { key: 'state', title: 'State', sort: (a) => a.state, cell: (a) => a.state },
  { key: 'since', title: 'Since', sort: (a) => a.pending, cell: (a) => <Since at={a.pending} /> },
  { key: 'quiet', title: 'Told', hint: 'whether receivers are told of it, and why not', sort: (a) => quietText(a), cell: (a) => quietText(a) || (a.told ? 'yes' : 'not yet') },
  rule,
  {
    key: 'do',
    title: 'Do',
    cell: (a) => (
      <span class="row-actions">
        {a.acked ? null : <Ask small label="Ack..." about={a.subject} spec={() => acknowledge([a], reload)} />}
        <Ask small label="Silence..." about={a.subject} spec={() => silenceOf(a, reload)} />
      </span>
    ),
  },
];

export const over: readonly Column<Alert>[] = [
  ...common,
  { key: 'since', title: 'Began', sort: (a) => a.pending, cell: (a) => <Since at={a.pending} /> },
  { key: 'ended', title: 'Ended', sort: (a) => a.ended, cell: (a) => <Since at={a.ended} /> },
  { key: 'why', title: 'Why it ended', cell: (a) => a.end_reason.replace(/_/g, ' ') || '-' },
  { key: 'acked', title: 'Acknowledged', cell: (a) => (a.acked ? quietText(a) : '-') },
  rule,
];

export const evidence: readonly Column<Alert>[] = [
  ...common,
  { key: 'state', title: 'State', sort: (a) => a.state, cell: (a) => a.state },
  { key: 'since', title: 'Since', sort: (a) => a.pending, cell: (a) => <Since at={a.pending} /> },
  rule,
];

export function AlertTable(p: { caption: string; name: string; columns: readonly Column<Alert>[]; rows: readonly Alert[]; sort?: string; empty: string }) {
  // Rows come worst first; a column's sort is the reader's choice.
  const rows = [...p.rows].sort((a, b) => (worst(a) < worst(b) ? -1 : worst(a) > worst(b) ? 1 : 0));
  return <Table caption={p.caption} name={p.name} columns={p.columns} rows={rows} rowKey={(a) => a.id} rowClass={(a) => (hushed(a) ? 'quiet' : '')} empty={p.empty} {...(p.sort ? { initialSort: p.sort } : {})} />;
}
