/* Spans that end now, as the API takes them, for pages to offer. */
export const SPANS: readonly (readonly [string, string])[] = [
  ['-15m', 'last 15 minutes'],
  ['-1h', 'last hour'],
  ['-6h', 'last 6 hours'],
  ['-1d', 'last day'],
  ['-7d', 'last 7 days'],
  ['-30d', 'last 30 days'],
];
