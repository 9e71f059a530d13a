/* What pages of the fleet share. */
import type { Concern } from './concerns';

const signs = { critical: '\u2715', warning: '!', info: 'i' };

export function Concerns(p: { list: readonly Concern[] }) {
  if (!p.list.length) return null;
  return (
    <ul class="concerns">
      {p.list.map((c) => (
        <li key={c.text} class={`tone-${c.tone}`}>
          <span class="sign" aria-hidden="true">
            {signs[c.tone]}
          </span>
          <span>{c.text}</span>
        </li>
      ))}
    </ul>
  );
}
