/* What can be done to an agent, as dialogs. */
import { del, post, serverNow } from '../../api/client';
import { go } from '../../router';
import type { DialogSpec } from '../ops/dialog';
import { labelChange, until, untilInWords } from '../ops/text';
import type { Agent } from '../ops/types';

const path = (a: Agent, what = '') => `agents/${encodeURIComponent(a.name)}${what ? `/${what}` : ''}`;
const sessions = (a: Agent) => `${a.pairs} pairs that it measures, and those to it`;

export function drain(a: Agent, done: () => void): DialogSpec {
  return {
    title: `Drain ${a.name}`,
    text: `Ends all sessions from and to it (${sessions(a)}) until somebody undrains it. What it measured stays.`,
    reason: 'wanted',
    submit: 'Drain',
    danger: true,
    run: async (v, author) => {
      await post(path(a, 'drain'), { author, reason: v.reason ?? '' });
      return `${a.name} is drained.`;
    },
    done,
  };
}

export function undrain(a: Agent, done: () => void): DialogSpec {
  return {
    title: `Undrain ${a.name}`,
    text: 'Measures from and to it again.',
    submit: 'Undrain',
    run: async (_, author) => {
      await post(path(a, 'undrain'), { author });
      return `${a.name} is measured from and to again.`;
    },
    done,
  };
}

export function maintenance(a: Agent, done: () => void): DialogSpec {
  return {
    title: `Maintenance of ${a.name}`,
    text: 'What is measured from and to it is marked, nobody is told of its alerts, and objectives leave it out. It goes on measuring.',
    fields: [
      { key: 'from', label: 'From', hint: 'empty: now; or in 30m, or 2026-12-01T22:00:00Z' },
      { key: 'to', label: 'Until', value: '2h', required: true, choices: ['30m', '2h', '8h', '1d'], means: (t) => untilInWords(t, serverNow()) },
    ],
    reason: 'wanted',
    submit: 'Mark',
    run: async (v, author) => {
      const from = v.from?.trim() ? until(v.from, serverNow()) : null;
      const to = until(v.to ?? '', from ? Date.parse(from) : serverNow());
      await post(path(a, 'maintenance'), { ...(from ? { from } : {}), to, author, reason: v.reason ?? '' });
      return `${a.name} is in maintenance until ${to.slice(0, 19)}Z.`;
    },
    done,
  };
}

export function endMaintenance(a: Agent, done: () => void): DialogSpec {
  return {
    title: `End the maintenance of ${a.name}`,
    text: 'Ends what goes on, and takes back what is to come.',
    submit: 'End it',
    run: async (_, author) => {
      await post(path(a, 'maintenance'), { end: true, author });
      return `The maintenance of ${a.name} is over.`;
    },
    done,
  };
}

export function label(a: Agent, done: () => void): DialogSpec {
  return {
    title: `Labels of ${a.name}`,
    text: 'Groups of meshes select by labels: pairs may come and go with them.',
    fields: [{ key: 'labels', label: 'Set or take off', required: true, hint: 'site=ams tier=1, and role- to take one off' }],
    submit: 'Change labels',
    run: async (v, author) => {
      await post(path(a, 'label'), { ...labelChange(v.labels ?? ''), author });
      return `The labels of ${a.name} are changed.`;
    },
    done,
  };
}

export function rename(a: Agent): DialogSpec {
  return {
    title: `Rename ${a.name}`,
    text: 'Its history comes along. Documents that name it have to name it anew.',
    fields: [{ key: 'name', label: 'New name', value: a.name, required: true }],
    reason: 'wanted',
    submit: 'Rename',
    run: async (v, author) => {
      const name = (v.name ?? '').trim();
      await post(path(a, 'rename'), { new_name: name, author, reason: v.reason ?? '' });
      go('fleet', { agent: name });
      return `${a.name} is called ${name} now.`;
    },
  };
}

export function revoke(a: Agent, done: () => void): DialogSpec {
  return {
    title: `Revoke ${a.name}`,
    text: `Cuts it off, ends all sessions from and to it (${sessions(a)}), and refuses its key from now on. To come back it needs a new key.`,
    reason: 'needed',
    type: a.name,
    submit: 'Revoke',
    danger: true,
    run: async (v, author) => {
      await post(path(a, 'revoke'), { author, reason: v.reason ?? '' });
      return `${a.name} is revoked.`;
    },
    done,
  };
}

export function remove(a: Agent): DialogSpec {
  return {
    title: `Remove ${a.name}`,
    text: 'Forgets it and cuts it off; its results stay. If it still runs it comes back as a stranger that waits for approval.',
    type: a.name,
    submit: 'Remove',
    danger: true,
    run: async (_, author) => {
      await del(path(a), { author });
      go('fleet');
      return `${a.name} is removed.`;
    },
  };
}
