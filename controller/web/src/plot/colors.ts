/* Colours of the sheet, for what draws itself. */
export interface Colors {
  text: string;
  dim: string;
  line: string;
  panel: string;
  accent: string;
  shades: string[];
  p50: string;
  p95: string;
  p99: string;
  before: string;
  forward: string;
  backward: string;
  unknown: string;
  ok: string;
  warning: string;
  critical: string;
  info: string;
  off: string;
}

export function colors(): Colors {
  const style = getComputedStyle(document.documentElement);
  const v = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: v('text'),
    dim: v('dim'),
    line: v('line'),
    panel: v('panel'),
    accent: v('accent'),
    shades: [0, 1, 2, 3, 4].map((i) => v(`shade-${i}`)),
    p50: v('plot-p50'),
    p95: v('plot-p95'),
    p99: v('plot-p99'),
    before: v('plot-before'),
    forward: v('plot-forward'),
    backward: v('plot-backward'),
    unknown: v('plot-unknown'),
    ok: v('ok-fill'),
    warning: v('warning-fill'),
    critical: v('critical-fill'),
    info: v('info-fill'),
    off: v('off-fill'),
  };
}

export type Palette = Colors;
