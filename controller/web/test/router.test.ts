import { describe, expect, it } from 'vitest';
import { href, parseHash } from '../src/router';

describe('addresses', () => {
  it('name a page and what it shows', () => {
    const r = parseHash('#/pair?mesh=m&class=voice&source=a%20b&target=c');
    expect(r.page).toBe('pair');
    expect(r.query.get('source')).toBe('a b');
  });
  it('lead to the matrix when empty', () => {
    for (const h of ['', '#', '#/', '#/?x=1']) expect(parseHash(h).page).toBe('matrix');
  });
  it('leave out what is not set', () => {
    expect(href('matrix', { mesh: 'm', class: null, only: false, q: '', open: true, n: 0 })).toBe('#/matrix?mesh=m&open=1&n=0');
    expect(href('matrix')).toBe('#/matrix');
  });
  it('come back as they went', () => {
    const odd = { source: 'ams > fra', target: '100%&=#?', at: '2026-11-27T12:00:00Z', list: 'a,b' };
    expect(Object.fromEntries(parseHash(href('pair', odd)).query)).toEqual(odd);
  });
});
