/* What a square says, beside it. For sighted readers: a screen reader gets the same words from the cell itself. */
import { plural } from '../../format';
import { StateBadge } from '../../ui/parts';
import { isWrong, type Line, type Model, type Square } from './model';
import { complaint, levelsText, notes, pairName, parts, rankState, severityWord } from './words';

const WIDTH = 300;
const bySev = ['ok', 'info', 'warning', 'critical'];

export function CellCard(p: { model: Model; row: Line; col: Line; square: Square; x: number; y: number; pitch: number; width: number; height: number }) {
  const m = p.model.answer;
  const q = p.square;
  const right = p.x + p.pitch + 8;
  const left = right + WIDTH < p.width ? right : Math.max(4, p.x - WIDTH - 8);
  const narrow = p.width < 480;
  const low = p.y > p.height / 2;
  const place = {
    left: narrow ? '4px' : `${left}px`,
    width: narrow ? `${p.width - 8}px` : `${WIDTH}px`,
    ...(low ? { bottom: `${p.height - p.y + (narrow ? 6 : -p.pitch)}px` } : { top: `${p.y + (narrow ? p.pitch + 6 : 0)}px` }),
  };
  return (
    <div class="cell-card" style={place} aria-hidden="true">
      <div class="cell-card-head">
        <strong>
          {p.row.label} &gt; {p.col.label}
        </strong>
        {q.worst && q.cells.length === 1 ? <StateBadge state={q.worst.state} /> : null}
      </div>
      {q.self ? <span class="dim">itself: nothing to measure</span> : !q.worst ? <span class="dim">not scheduled</span> : q.cells.length > 1 ? <Group model={p.model} square={q} /> : <One model={p.model} square={q} />}
      {q.worst ? <div class="dim cell-card-foot">{q.cells.length > 1 || p.row.folded || p.col.folded ? 'Enter or click unfolds' : `${m.mesh} / ${m.class}; Enter or click opens the pair`}</div> : null}
    </div>
  );
}

function One(p: { model: Model; square: Square }) {
  const m = p.model.answer;
  const c = p.square.worst;
  if (!c) return null;
  return (
    <>
      <table>
        <tbody>
          {parts(m, c).map((x) => (
            <tr key={x.way}>
              <td class="dim">{x.way}</td>
              <td class="num">{x.text}</td>
              <td>{x.sev === null ? <span class="dim">{x.way === 'direction unknown' ? '' : severityWord(null)}</span> : <StateBadge state={bySev[x.sev] ?? null} />}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {m.levels ? <div class="dim">{levelsText(m)}</div> : null}
      {notes(c).map((n) => (
        <div key={n}>{n}</div>
      ))}
    </>
  );
}

function Group(p: { model: Model; square: Square }) {
  const m = p.model.answer;
  const bad = p.square.cells.filter(isWrong).sort((a, b) => b.rank - a.rank || (b.roundtrip ?? 0) - (a.roundtrip ?? 0));
  return (
    <>
      <div>
        {plural(p.square.cells.length, 'pair')}, {bad.length ? `${bad.length} wrong` : 'nothing wrong'}
      </div>
      {bad.slice(0, 5).map((c) => (
        <div key={`${c.source}/${c.target}`}>
          <StateBadge state={rankState(c.rank)} text={pairName(m, c)} /> <span class="dim">{complaint(m, c)}</span>
        </div>
      ))}
      {bad.length > 5 ? <div class="dim">and {bad.length - 5} more</div> : null}
    </>
  );
}
