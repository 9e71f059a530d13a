/* What stands beside alerts: silences, receivers, rules, and why a rule applies. */
import { useEffect, useState } from 'preact/hooks';
import { plural, time } from '../../format';
import { href, setQuery, useRoute } from '../../router';
import { Table, type Column } from '../../ui/Table';
import { Ago, Check, ErrorBox, Loading, Section, Since, StateBadge } from '../../ui/parts';
import { Ask, ReadOnly } from '../ops/dialog';
import { Answered, AsOf, Filter, useData } from '../ops/parts';
import { nsText } from '../ops/text';
import type { Agent, AlertDocument, ExplainRow, Receiver, Rule, Rules, Silence } from '../ops/types';
import { silence, unsilence } from './actions';

const silences = (reload: () => void): readonly Column<Silence>[] => [
  { key: 'id', title: 'Silence', num: true, sort: (s) => s.id, cell: (s) => s.id },
  { key: 'state', title: 'State', sort: (s) => s.state, cell: (s) => <StateBadge state={s.state === 'active' ? 'paused' : s.state === 'pending' ? 'pending' : 'idle'} text={s.state} /> },
  { key: 'match', title: 'Which alerts', sort: (s) => s.match, cell: (s) => <code>{s.match}</code> },
  { key: 'alerts', title: 'Quiet now', hint: 'alerts that it keeps quiet', num: true, sort: (s) => s.alerts, cell: (s) => s.alerts },
  { key: 'start', title: 'From', sort: (s) => s.start, cell: (s) => <Since at={s.start} /> },
  { key: 'end', title: 'Until', sort: (s) => s.end, cell: (s) => time(s.end) },
  { key: 'author', title: 'By', sort: (s) => s.author, cell: (s) => s.author || '-' },
  { key: 'reason', title: 'Reason', cell: (s) => s.reason || '-' },
  { key: 'do', title: 'Do', cell: (s) => (s.state === 'active' || s.state === 'pending' ? <Ask small label="End..." about={`silence ${s.id}`} spec={() => unsilence(s, reload)} /> : null) },
];

export function Silences() {
  const all = useRoute().query.get('all') === '1';
  const answer = useData<{ silences: Silence[] }>('silences', { all: all ? 'true' : null }, 'alerts');
  return (
    <>
      <div class="bar">
        <Ask label="New silence..." spec={() => silence('', answer.reload)} />
        <Check label="Also those that are over" checked={all} onChange={(v) => setQuery({ all: v })} />
        <ReadOnly />
        <AsOf at={answer.at} />
      </div>
      <Answered answer={answer} what="silences">
        {(data) => <Table caption="Silences" name="silences" columns={silences(answer.reload)} rows={data.silences} rowKey={(s) => s.id} initialSort="end" empty="Nothing is silenced." />}
      </Answered>
    </>
  );
}

function receiverState(r: Receiver) {
  const bad = r.state !== 'idle' && r.state !== 'sending';
  return <StateBadge state={bad || r.dropped ? 'warning' : 'ok'} text={r.state.replace(/_/g, ' ')} />;
}
const receivers: readonly Column<Receiver>[] = [
  { key: 'name', title: 'Receiver', sort: (r) => r.name, cell: (r) => r.name },
  { key: 'kind', title: 'By', sort: (r) => r.kind, cell: (r) => (r.format ? `${r.kind}, ${r.format}` : r.kind) },
  { key: 'state', title: 'State', sort: (r) => r.state, cell: receiverState },
  { key: 'queued', title: 'Queued', num: true, sort: (r) => r.queued, cell: (r) => `${r.queued} of ${r.queue_max}` },
  { key: 'sent', title: 'Sent', num: true, sort: (r) => r.sent, cell: (r) => r.sent },
  { key: 'failed', title: 'Failed', hint: 'attempts; they are tried again', num: true, sort: (r) => r.failed, cell: (r) => r.failed },
  { key: 'refused', title: 'Refused', hint: 'the receiver does not want them, ever', num: true, sort: (r) => r.refused, cell: (r) => r.refused },
  { key: 'dropped', title: 'Dropped', hint: 'its queue was full', num: true, sort: (r) => r.dropped, cell: (r) => r.dropped },
  { key: 'last', title: 'Last sent', num: true, sort: (r) => r.last_sent, cell: (r) => <Ago at={r.last_sent} /> },
  {
    key: 'error',
    title: 'Last error',
    cell: (r) =>
      r.last_error ? (
        <>
          {r.last_error} <span class="dim">{`(${time(r.last_failed)}${r.next_try ? `, next try ${time(r.next_try)}` : ''})`}</span>
        </>
      ) : (
        '-'
      ),
  },
];

export function Receivers() {
  // Attempts are no news of alerts: while something waits it is asked again as results come.
  const [waits, setWaits] = useState(false);
  const answer = useData<{ receivers: Receiver[] }>('alert-receivers', {}, waits ? 'published' : 'alerts', 5000);
  useEffect(() => setWaits(answer.data?.receivers.some((r) => r.queued > 0) ?? false), [answer.data]);
  return (
    <>
      <div class="bar">
        <span class="dim">Who is told of alerts, and how that goes.</span>
        <button type="button" onClick={answer.reload}>
          Ask again
        </button>
        <AsOf at={answer.at} />
      </div>
      <Answered answer={answer} what="receivers">
        {(data) => <Table caption="Receivers" name="receivers" columns={receivers} rows={data.receivers} rowKey={(r) => r.name} empty="Nobody is told of anything: the alert document names no receivers." />}
      </Answered>
    </>
  );
}
const rules: readonly Column<Rule>[] = [
  { key: 'name', title: 'Rule', sort: (r) => r.name, cell: (r) => r.name },
  { key: 'firing', title: 'Firing', num: true, sort: (r) => r.firing, cell: (r) => r.firing },
  { key: 'pending', title: 'Pending', num: true, sort: (r) => r.pending, cell: (r) => r.pending },
  { key: 'metric', title: 'Metric', sort: (r) => r.metric, cell: (r) => `${r.metric}${r.direction ? ` ${r.direction}` : ''}` },
  { key: 'matches', title: 'Of', sort: (r) => r.scope, cell: (r) => `${r.scope}${r.matches ? `: ${r.matches}` : ''}` },
  { key: 'info', title: 'Info', cell: (r) => (r.off ? 'off' : r.info || '-') },
  { key: 'warning', title: 'Warning', cell: (r) => r.warning || '-' },
  { key: 'critical', title: 'Critical', cell: (r) => r.critical || '-' },
  { key: 'for', title: 'For', num: true, cell: (r) => nsText(r.for_time_ns) },
  { key: 'clear', title: 'Clear for', num: true, cell: (r) => nsText(r.clear_time_ns) },
  { key: 'baseline', title: 'Baseline', num: true, cell: (r) => nsText(r.baseline_time_ns) },
  { key: 'line', title: 'Line', num: true, sort: (r) => r.line, cell: (r) => r.line },
];

const versions: readonly Column<AlertDocument>[] = [
  { key: 'version', title: 'Version', num: true, cell: (d) => <a href={href('alerts', { view: 'rules', version: d.version })}>{d.version}</a> },
  { key: 'time', title: 'When', cell: (d) => <Since at={d.time} /> },
  { key: 'author', title: 'By', cell: (d) => d.author || '-' },
  { key: 'reason', title: 'Reason', cell: (d) => d.reason || '-' },
];

export function RulesView() {
  const version = useRoute().query.get('version');
  const answer = useData<Rules>('alert-rules', {}, 'alerts');
  const history = useData<{ documents: AlertDocument[] }>('alert-document/history', { limit: 20 });
  const has = (answer.data?.version ?? 0) > 0;
  const text = useData<{ document: AlertDocument | null }>(has ? 'alert-document' : null, { version });
  return (
    <Answered answer={answer} what="the rules">
      {(data) => (
        <>
          <p class="dim">
            {data.version ? `Version ${data.version} is in force since ${time(data.time)}${data.author ? `, by ${data.author}` : ''}${data.reason ? `: ${data.reason}` : ''}.` : 'No document of rules is in force, so nothing is looked at: twampctl alert apply -f alerts.yaml'}{' '}
            Which rule is whose: <a href={href('alerts', { view: 'explain' })}>explain</a>.
          </p>
          <Table caption="Rules" name="rules" columns={rules} rows={data.rules} rowKey={(r) => r.name} empty="No rule." />
          {has && history.data ? (
            <Section title="Versions">
              <Table caption="Versions of the document" name="versions" columns={versions} rows={history.data.documents} rowKey={(d) => d.version} />
            </Section>
          ) : null}
          {text.data?.document ? (
            <Section title={`The document, version ${text.data.document.version}`}>
              <pre class="snippet" role="region" aria-label="The alert document" tabIndex={0}>
                {text.data.document.document.split('\n').map((l, i) => (
                  <span key={i}>{`${String(i + 1).padStart(4)} | ${l}`}</span>
                ))}
              </pre>
            </Section>
          ) : has ? (
            <ErrorBox error={text.error} />
          ) : null}
        </>
      )}
    </Answered>
  );
}

const explained: readonly Column<ExplainRow>[] = [
  { key: 'metric', title: 'Metric', sort: (r) => r.metric, cell: (r) => `${r.metric}${r.direction ? ` ${r.direction}` : ''}` },
  { key: 'class', title: 'Mesh/class', sort: (r) => `${r.mesh}/${r.class}`, cell: (r) => (r.mesh ? `${r.mesh}/${r.class}` : '-') },
  { key: 'rule', title: 'Rule', sort: (r) => r.rule, cell: (r) => r.rule },
  { key: 'applies', title: 'Applies', sort: (r) => (r.applies ? 0 : 1), cell: (r) => <StateBadge state={r.applies ? 'ok' : 'idle'} text={r.applies ? 'yes' : 'no'} /> },
  { key: 'why', title: 'Why', cell: (r) => `${r.why}${r.other ? ` (${r.other})` : ''}` },
  { key: 'levels', title: 'Levels', cell: (r) => r.levels || '-' },
  { key: 'state', title: 'State', sort: (r) => r.state, cell: (r) => (r.applies ? r.alert ? <a href={href('alerts', { id: r.alert })}>{r.state.replace(/_/g, ' ')}</a> : r.state.replace(/_/g, ' ') : '-') },
  { key: 'baseline', title: 'Baseline', cell: (r) => (r.baseline_wanted_ns ? `${nsText(r.baseline_known_ns)} of ${nsText(r.baseline_wanted_ns)} known` : '-') },
];

export function Explain() {
  const { query } = useRoute();
  const names = { source: query.get('source'), target: query.get('target'), mesh: query.get('mesh'), class: query.get('class') };
  const [agents, setAgents] = useState<string[]>([]);
  const fleet = useData<{ agents: Agent[] }>('agents');
  useEffect(() => setAgents(fleet.data?.agents.map((a) => a.name) ?? []), [fleet.data]);
  const answer = useData<{ rows: ExplainRow[] }>(names.source ? 'alert-rules/explain' : null, names, 'alerts');
  return (
    <>
      <p class="dim">Which rules apply to a pair, or with a source alone to an agent, and why not the others.</p>
      <div class="bar">
        <Filter label="Source" param="source" hint="agent" list={agents} />
        <Filter label="Target" param="target" hint="empty: the agent itself" list={agents} />
        <Filter label="Mesh" param="mesh" hint="all" />
        <Filter label="Class" param="class" hint="all" />
        <AsOf at={answer.at} />
      </div>
      {names.source ? (
        <>
          <ErrorBox error={answer.error} stale={answer.data !== null} retry={answer.reload} />
          {answer.data ? (
            <>
              <p>
                {names.target ? `${names.source} > ${names.target}` : `Agent ${names.source}`}: {plural(answer.data.rows.filter((r) => r.applies).length, 'rule')} of {answer.data.rows.length} apply.
              </p>
              <Table caption="Rules" name="explain" columns={explained} rows={answer.data.rows} rowKey={(r) => `${r.mesh}/${r.class}/${r.metric}/${r.direction}/${r.rule}`} empty="No rule is in force, or no such pair is scheduled." />
            </>
          ) : answer.error ? null : (
            <Loading what="the explanation" />
          )}
        </>
      ) : null}
    </>
  );
}
