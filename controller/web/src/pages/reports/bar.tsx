/* Above an answer: of which span it is, how old, and what makes it anew. */
import type { ComponentChildren } from 'preact';
import type { Time } from '../../api/types';
import { time } from '../../format';
import { AsOf, type Data } from '../ops/parts';

interface OfSpan {
  from: Time;
  to: Time;
  before_from?: Time;
  before_to?: Time;
}

export function SpanBar(p: { answer: Data<OfSpan>; children: ComponentChildren }) {
  const { data, loading, reload, at } = p.answer;
  return (
    <div class="bar">
      <button type="button" onClick={reload} disabled={loading}>
        {loading ? 'Asking...' : 'Make anew'}
      </button>
      {data ? (
        <span>
          {time(data.from)} to {time(data.to)}
          {data.before_from ? `, beside ${time(data.before_from)} to ${time(data.before_to)}` : ''}
        </span>
      ) : null}
      <AsOf at={at} />
      {p.children}
    </div>
  );
}
