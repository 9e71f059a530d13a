/* Server-sent events out of a stream of text (WHATWG HTML, 9.2.6), as far as the controller sends them. EventSource would do
 * that, but it hides the status of a refusal, sends no header and reconnects as it likes. */

export interface ServerEvent {
  event: string;
  data: string;
}

export class EventParser {
  private rest = '';
  private event = '';
  private data: string[] = [];

  constructor(
    private readonly onEvent: (e: ServerEvent) => void,
    private readonly limit = 1 << 20, // characters of a line: more is not ours
  ) {}

  push(text: string): void {
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? '';
    if (this.rest.length > this.limit) throw new Error('a line of the event stream is too long');
    for (const line of lines) this.line(line);
  }

  private line(line: string): void {
    if (line === '') {
      if (this.data.length) this.onEvent({ event: this.event || 'message', data: this.data.join('\n') });
      this.event = '';
      this.data = [];
      return;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.event = value;
    else if (field === 'data') this.data.push(value);
  }
}
