import { describe, expect, it } from 'vitest';
import { atLeast, whyNot, type Role, type Who } from '../src/session';

const who = (role: Role, by: Who['by'] = 'session', name: string | null = 'ann'): Who => ({ name, role, by, tokens: by !== 'address', csrf: null, session_ends: null });

describe('roles', () => {
  it.each([
    ['nobody', 'viewer', false],
    ['viewer', 'viewer', true],
    ['viewer', 'operator', false],
    ['operator', 'viewer', true],
    ['operator', 'operator', true],
    ['operator', 'admin', false],
    ['admin', 'operator', true],
    ['admin', 'admin', true],
  ] as const)('%s for what needs %s: %s', (role, need, may) => {
    expect(atLeast(role, need)).toBe(may);
    expect(whyNot(who(role), need) === '').toBe(may);
  });

  it('says who lacks what', () => {
    expect(whyNot(who('viewer'), 'operator')).toBe('Read-only: ann is a viewer; this needs an operator');
    expect(whyNot(who('operator'), 'admin')).toBe('Read-only: ann is an operator; this needs an admin');
    expect(whyNot(who('viewer', 'address', 'local'), 'operator')).toMatch(/without an access token one may only look/);
  });
});
