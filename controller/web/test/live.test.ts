import { describe, expect, it } from 'vitest';
import { pauseMs } from '../src/live/live';
import { EventParser, type ServerEvent } from '../src/live/sse';
import { linkWord } from '../src/ui/LinkState';
import type { LiveState } from '../src/live/live';

function parse(...chunks: string[]): ServerEvent[] {
  const out: ServerEvent[] = [];
  const p = new EventParser((e) => out.push(e), 100);
  for (const c of chunks) p.push(c);
  return out;
}

describe('the event stream', () => {
  it('is the same however it is cut', () => {
    const text = ': hello\n\nevent: published\ndata: {"at":1}\n\nevent: alerts\r\ndata: a\r\ndata: b\r\n\r\n';
    const whole = parse(text);
    expect(whole).toEqual([
      { event: 'published', data: '{"at":1}' },
      { event: 'alerts', data: 'a\nb' },
    ]);
    expect(parse(...text)).toEqual(whole);
    for (let i = 1; i < text.length; i++) expect(parse(text.slice(0, i), text.slice(i))).toEqual(whole);
  });
  it('has no event without data, and none before it is complete', () => {
    expect(parse('event: x\n\n', 'data: 1\n')).toEqual([]);
    expect(parse('data\n\n')).toEqual([{ event: 'message', data: '' }]);
  });
  it('ends when a line has no end', () => {
    expect(() => parse('data: ' + 'x'.repeat(200))).toThrow(/too long/);
  });
});

describe('connecting again', () => {
  it('waits longer each time, to a limit, never all at once', () => {
    const least = [0, 1, 2, 3, 20].map((n) => pauseMs(n, 0));
    const most = [0, 1, 2, 3, 20].map((n) => pauseMs(n, 1));
    expect(least).toEqual([250, 500, 1000, 2000, 15000]);
    expect(most).toEqual([500, 1000, 2000, 4000, 30000]);
  });
});

describe('the sign of life', () => {
  const base = { link: 'live', publishedAt: 100_000 } as LiveState;
  it('tells live from old data and from no connection', () => {
    expect(linkWord(base, 105_000).word).toBe('live');
    expect(linkWord(base, 170_000).word).toBe('live, no new data');
    expect(linkWord({ ...base, link: 'lost' }, 105_000).tone).toBe('critical');
    expect(linkWord({ ...base, link: 'refused' }, 105_000).word).toBe('not live');
    expect(linkWord({ ...base, link: 'connecting' }, 105_000).word).toBe('connecting');
  });
});
