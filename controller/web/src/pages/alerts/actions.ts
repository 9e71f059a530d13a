/* What can be done about alerts, as dialogs. */
import { del, get, post, serverNow } from '../../api/client';
import type { DialogSpec } from '../ops/dialog';
import { until, untilInWords } from '../ops/text';
import type { Alert, AlertShow, Silence } from '../ops/types';

export function acknowledge(alerts: readonly Alert[], done: () => void): DialogSpec {
  const one = alerts[0]!;
  return {
    title: alerts.length === 1 ? `Acknowledge ${one.subject}` : `Acknowledge ${alerts.length} alerts`,
    text: 'Says that somebody works on it: nobody is told of it again. Void when it gets worse; the end is told.',
    reason: 'wanted',
    submit: 'Acknowledge',
    run: async (v, author) => {
      for (const a of alerts) await post(`alerts/${a.id}/ack`, { author, reason: v.reason ?? '' });
      return alerts.length === 1 ? `${one.subject} is acknowledged.` : `${alerts.length} alerts are acknowledged.`;
    },
    done,
  };
}

/* What an alert and its like have in common: its labels, but for those that change (severity) or say the same again. */
const telling = ['kind', 'site', 'agent', 'metric', 'mesh', 'class', 'source', 'target'];
export function matchOf(labels: readonly { key: string; value: string }[]): string {
  const of = new Map(labels.map((l) => [l.key, l.value]));
  const keys = of.get('kind') === 'pair' ? telling.filter((k) => k !== 'kind' && k !== 'agent' && k !== 'site') : telling;
  return keys
    .filter((k) => of.get(k))
    .map((k) => `${k}=${of.get(k)}`)
    .join(',');
}

export function silence(match: string, done: () => void): DialogSpec {
  return {
    title: 'Silence',
    text: 'Nobody is told of alerts whose labels match, until it ends; what fires still is told then.',
    fields: [
      { key: 'match', label: 'Which alerts', value: match, required: true, hint: 'such as mesh=voice,source.site=ams; labels: kind, metric, severity, rule, mesh, class, source, target, agent, site, source.KEY, target.KEY' },
      { key: 'to', label: 'Until', value: '2h', required: true, choices: ['30m', '2h', '8h', '1d', '7d'], means: (t) => untilInWords(t, serverNow()) },
    ],
    reason: 'needed',
    submit: 'Silence',
    run: async (v, author) => {
      const end = until(v.to ?? '', serverNow());
      const a = await post<{ silence: Silence }>('silences', { match: (v.match ?? '').trim(), end, author, reason: v.reason ?? '' });
      return `Silence ${a.silence.id} holds until ${end.slice(0, 19)}Z.`;
    },
    done,
  };
}

export async function silenceOf(alert: Alert, done: () => void): Promise<DialogSpec> {
  const { labels } = await get<AlertShow>(`alerts/${alert.id}`);
  return silence(matchOf(labels), done);
}

export function unsilence(s: Silence, done: () => void): DialogSpec {
  return {
    title: `End silence ${s.id}`,
    text: `${s.match}: what fires still is told.`,
    submit: 'End it',
    run: async (_, author) => {
      await del(`silences/${s.id}`, { author });
      return `Silence ${s.id} is over.`;
    },
    done,
  };
}
