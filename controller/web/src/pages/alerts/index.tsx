/* What is wrong, worst first; who knows; and what is kept quiet. */
import { plural, time, word } from '../../format';
import { href, setQuery, useRoute } from '../../router';
import { Check, Empty, Section, Select, Since, StateBadge } from '../../ui/parts';
import { Ask, ReadOnly } from '../ops/dialog';
import { Answered, AsOf, Facts, Filter, OpsPage, PairLink, Tabs, useData } from '../ops/parts';
import type { Alert, AlertList, AlertShow } from '../ops/types';
import { acknowledge, matchOf, silence } from './actions';
import { AlertTable, evidence, going, hushed, over, quietText } from './list';
import { Explain, Receivers, RulesView, Silences } from './views';

const MOST = 500;

function Filters(p: { error: Error | null; roots?: boolean }) {
  const { query } = useRoute();
  return (
    <>
      <Select
        label="At least"
        value={query.get('severity') ?? ''}
        options={[
          ['', 'any severity'],
          ['warning', 'warning'],
          ['critical', 'critical'],
        ]}
        onChange={(v) => setQuery({ severity: v || null })}
      />
      <Filter label="Labels" param="select" hint="metric=loss,source.site=ams" error={query.get('select') ? p.error : null} wide />
      {p.roots ? <Check label="Also what is explained by others" checked={query.get('explained') === '1'} onChange={(v) => setQuery({ explained: v })} hint="pairs that are the evidence of a site's or an agent's alert" /> : null}
    </>
  );
}

function tally(alerts: readonly Alert[]): string {
  const firing = alerts.filter((a) => a.state === 'firing');
  const by = (s: string) => firing.filter((a) => a.severity === s).length;
  const parts = (['critical', 'warning', 'info'] as const).filter(by).map((s) => `${by(s)} ${s}`);
  const pending = alerts.length - firing.length;
  return [parts.length ? `Firing: ${parts.join(', ')}` : 'Nothing fires', pending ? `${pending} may soon` : ''].filter(Boolean).join('; ');
}

/* The colour of the sum: of the worst that nobody works on; good only if nothing fires. */
function loudest(open: readonly Alert[], all: readonly Alert[]): string {
  const worst = (['critical', 'warning', 'info'] as const).find((s) => open.some((a) => a.severity === s));
  return worst ? `tone-${worst}` : all.some((a) => a.state === 'firing') ? '' : 'tone-ok';
}

function Going() {
  const { query } = useRoute();
  const select = query.get('select');
  const answer = useData<AlertList>('alerts', { severity: query.get('severity'), select, roots: query.get('explained') === '1' ? null : 'true', limit: MOST }, 'alerts');
  return (
    <>
      <div class="bar">
        <Filters error={answer.error} roots />
        <ReadOnly />
        <AsOf at={answer.at} />
      </div>
      {select && answer.error && !answer.data ? null : (
        <Answered answer={answer} what="alerts">
          {(data) => {
            const open = data.alerts.filter((a) => a.state === 'firing' && !hushed(a));
            return (
              <>
                <div class="bar">
                  <span role="status" class={loudest(open, data.alerts)}>
                    {tally(data.alerts)}
                    {open.length ? `, ${open.length} that nobody works on` : ''}
                  </span>
                  {open.length > 1 ? <Ask small label={`Acknowledge all ${open.length}...`} spec={() => acknowledge(open, answer.reload)} /> : null}
                </div>
                <AlertTable caption="Alerts that go on" name="alerts" columns={going(answer.reload)} rows={data.alerts} empty={select ? 'No alert has such labels.' : 'Nothing is wrong, as far as the rules say.'} />
                {data.truncated ? <p class="dim">There are more than {MOST}: choose by severity or labels.</p> : null}
              </>
            );
          }}
        </Answered>
      )}
    </>
  );
}

function Past() {
  const { query } = useRoute();
  const answer = useData<AlertList>('alerts', { state: 'resolved', severity: query.get('severity'), select: query.get('select'), limit: MOST }, 'alerts', 5000);
  return (
    <>
      <div class="bar">
        <Filters error={answer.error} />
        <AsOf at={answer.at} />
      </div>
      {query.get('select') && answer.error && !answer.data ? null : (
        <Answered answer={answer} what="alerts that are over">
          {(data) => (
            <>
              <AlertTable caption="Alerts that are over" name="over" columns={over} rows={data.alerts} sort="-ended" empty="Nothing was wrong, as far as is kept." />
              {data.truncated ? <p class="dim">Older ones are not shown: choose by severity or labels.</p> : null}
            </>
          )}
        </Answered>
      )}
    </>
  );
}

function Story({ a }: { a: Alert }) {
  return (
    <Facts
      title="What"
      rows={[
        ['Severity', <StateBadge state={a.severity} />],
        ['State', <StateBadge state={a.state} />],
        ['What', a.summary],
        ['Pair', a.kind === 'pair' ? <PairLink mesh={a.mesh} class={a.class} source={a.source} target={a.target} text={`${a.mesh}/${a.class} ${a.source} > ${a.target}`} /> : null],
        ['Bad pairs', a.bad_pairs ? `${a.bad_pairs} of ${a.pairs}` : null],
        ['Bad since', <Since at={a.pending} />],
        ['Fired', a.fired ? <Since at={a.fired} /> : 'not yet'],
        ['Ended', a.ended ? <Since at={a.ended} /> : null],
        ['Why it ended', word(a.end_reason)],
        ['Rule', a.rule],
        ['Explained by', a.cause ? <a href={href('alerts', { id: a.cause })}>alert {a.cause}</a> : null],
      ]}
    />
  );
}

function Telling(p: { show: AlertShow }) {
  const a = p.show.alert;
  return (
    <Facts
      title="Who is told"
      rows={[
        ['Receivers', p.show.receivers.join(', ') || 'nobody: no route takes it'],
        ['Told', a.told ? 'yes' : 'no'],
        ['Notices', a.notices],
        ['Quiet', a.quiet ? `${word(a.quiet)}${a.quiet_reason ? `: ${a.quiet_reason}` : ''}` : 'no'],
        ['Acknowledged', a.acked ? `${time(a.acked)}: ${quietText(a)}` : 'no'],
        ...p.show.labels.map((l): [string, string] => [l.key, l.value]),
      ]}
    />
  );
}

function One(p: { id: number }) {
  const answer = useData<AlertShow>(`alerts/${p.id}`, {}, 'alerts');
  const a = answer.data?.alert;
  return (
    <OpsPage
      title={a ? `Alert ${p.id}: ${a.subject}` : `Alert ${p.id}`}
      aside={
        <>
          <a href={href('alerts')}>All alerts</a>
          <AsOf at={answer.at} />
        </>
      }
    >
      <Answered answer={answer} what="the alert">
        {(show) => (
          <>
            <div class="bar">
              {show.alert.state !== 'resolved' && !show.alert.acked ? <Ask label="Acknowledge..." spec={() => acknowledge([show.alert], answer.reload)} /> : null}
              <Ask label="Silence..." spec={() => silence(matchOf(show.labels), answer.reload)} />
              {show.alert.source ? (
                <a href={href('alerts', { view: 'explain', source: show.alert.source, target: show.alert.target, mesh: show.alert.mesh, class: show.alert.class })}>Which rules apply?</a>
              ) : null}
              {show.alert.kind === 'agent' && show.alert.source ? <a href={href('fleet', { agent: show.alert.source })}>The agent</a> : null}
              {show.alert.kind === 'pair' ? <a href={href('test', { source: show.alert.source, target: show.alert.target, mesh: show.alert.mesh, class: show.alert.class })}>Test it now</a> : null}
              <ReadOnly />
            </div>
            <div class="fact-groups">
              <Story a={show.alert} />
              <Telling show={show} />
            </div>
            {show.evidence.length ? (
              <Section title={`Evidence: ${plural(show.evidence.length, 'alert')} that it explains`}>
                <AlertTable caption="Evidence" name="evidence" columns={evidence} rows={show.evidence} empty="" />
              </Section>
            ) : show.alert.kind !== 'pair' ? (
              <Empty>Nothing else is explained by it now.</Empty>
            ) : null}
          </>
        )}
      </Answered>
    </OpsPage>
  );
}

const views = [
  ['', 'Going on'],
  ['history', 'Over'],
  ['silences', 'Silences'],
  ['receivers', 'Receivers'],
  ['rules', 'Rules'],
  ['explain', 'Explain'],
] as const;

export function Alerts() {
  const { query } = useRoute();
  const id = Number(query.get('id') ?? 0);
  const view = query.get('view') ?? '';
  if (id) return <One key={id} id={id} />;
  return (
    <OpsPage title="Alerts" tabs={<Tabs page="alerts" label="Views of alerts" now={view} views={views} />}>
      {view === 'history' ? <Past /> : view === 'silences' ? <Silences /> : view === 'receivers' ? <Receivers /> : view === 'rules' ? <RulesView /> : view === 'explain' ? <Explain /> : <Going />}
    </OpsPage>
  );
}
