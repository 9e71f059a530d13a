/* A table that can be sorted, and that shows its rows in steps: thousands of them must not stop the browser. */
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { setQuery, useRoute } from '../router';
import { plural } from '../format';

export interface Column<R> {
  key: string;
  title: string;
  hint?: string;
  num?: boolean; // right-aligned digits
  sort?: (r: R) => number | string | null; // null sorts last, whichever way
  cell: (r: R) => ComponentChildren;
}

const STEP = 200;

export function compare(a: number | string | null, b: number | string | null, down: boolean): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  const order = typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), 'en', { numeric: true });
  return down ? -order : order;
}

/* `sort` in the address: a column's key, with "-" before it from high to low. `name` tells tables of one page apart. */
export function Table<R>(p: {
  caption: string;
  columns: readonly Column<R>[];
  rows: readonly R[];
  rowKey: (r: R) => string | number;
  rowClass?: (r: R) => string;
  initialSort?: string;
  name?: string;
  empty?: string;
}) {
  const param = p.name ? `sort.${p.name}` : 'sort';
  const sort = useRoute().query.get(param) ?? p.initialSort ?? '';
  const down = sort.startsWith('-');
  const key = down ? sort.slice(1) : sort;
  const by = p.columns.find((c) => c.key === key)?.sort;
  const rows = by ? [...p.rows].sort((a, b) => compare(by(a), by(b), down)) : p.rows;
  const [shown, setShown] = useState(STEP);
  useEffect(() => setShown(STEP), [sort, p.caption]);

  return (
    <div class="table-scroll" role="region" aria-label={p.caption} tabIndex={0}>
      <table class="table">
        <caption class="sr-only">{p.caption}</caption>
        <thead>
          <tr>
            {p.columns.map((c) => (
              <th key={c.key} scope="col" class={c.num ? 'num' : ''} title={c.hint} {...(c.sort ? { 'aria-sort': c.key !== key ? 'none' : down ? 'descending' : 'ascending' } : {})}>
                {c.sort ? (
                  <button type="button" class="sort" onClick={() => setQuery({ [param]: c.key === key && !down ? `-${c.key}` : c.key }, { replace: true })}>
                    {c.title}
                    <span aria-hidden="true" class="arrow">
                      {c.key !== key ? '' : down ? ' \u25be' : ' \u25b4'}
                    </span>
                  </button>
                ) : (
                  c.title
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, shown).map((r) => (
            <tr key={p.rowKey(r)} class={p.rowClass?.(r) ?? ''}>
              {p.columns.map((c) => (
                <td key={c.key} class={c.num ? 'num' : ''}>
                  {c.cell(r)}
                </td>
              ))}
            </tr>
          ))}
          {rows.length === 0 ? (
            <tr>
              <td colSpan={p.columns.length} class="empty">
                {p.empty ?? 'nothing'}
              </td>
            </tr>
          ) : null}
        </tbody>
      </table>
      {rows.length > shown ? (
        <p class="more">
          {shown} of {plural(rows.length, 'row')}{' '}
          <button type="button" onClick={() => setShown(shown + STEP)}>
            Show {Math.min(STEP, rows.length - shown)} more
          </button>
        </p>
      ) : null}
    </div>
  );
}
