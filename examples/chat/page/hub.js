// One WebSocket to the server, which comes back by itself after a cut and misses nothing. What is
// said over it: docs/websocket.md.

const FIRST_WAIT = 250;
const LONGEST_WAIT = 15_000;
/** After these, connecting again would end the same way. */
const FINAL = [4003, 4004];

export class Hub {
  #socket = null;
  #subscriptions = new Map();
  #heard = new Map(); // the same by the names that events carry: `user:me` is spelt out there
  #waiting = new Map();
  #next = 1;
  #failures = 0;
  #timer = null;
  #stopped = false;

  /** `token(renew)` gives an access token; `onState` hears of `online`, `offline` and `ended`. */
  constructor({ token, onState = () => {} }) {
    this.token = token;
    this.onState = onState;
    // The browser knows of a new network before any wait is over.
    this.wake = () => this.#timer && this.#connect();
    addEventListener('online', this.wake);
    this.#connect();
  }

  /**
   * Listens to a channel until `unsubscribe`, over all cuts. `onEvent` gets each event once;
   * `onReload` is called when what is held has to be read again, the first time included.
   */
  async subscribe(channel, { presence, onEvent, onReload }) {
    const wish = { presence, onEvent, onReload, position: null };
    this.#subscriptions.set(channel, wish);
    if (this.#isOpen()) await this.#enter(channel, wish);
  }

  unsubscribe(channel) {
    const wish = this.#subscriptions.get(channel);
    for (const [name, held] of this.#heard) if (held === wish) this.#heard.delete(name);
    if (this.#subscriptions.delete(channel) && this.#isOpen()) {
      this.ask({ op: 'unsubscribe', channel }).catch(() => {});
    }
  }

  /** Sends an operation; its `ok`, or an error with the server's problem document as `problem`. */
  ask(message) {
    if (!this.#isOpen()) return Promise.reject(new Error('not connected'));
    const id = this.#next++;
    this.#socket.send(JSON.stringify({ id, ...message }));
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  stop() {
    this.#stopped = true;
    removeEventListener('online', this.wake);
    clearTimeout(this.#timer);
    this.#socket?.close(1000);
  }

  #isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  async #connect() {
    clearTimeout(this.#timer);
    this.#timer = null;
    let token;
    try {
      token = await this.token(this.#failures > 2);
    } catch (error) {
      if (error.status === 401) return this.onState('ended');
      return this.#later();
    }
    if (this.#stopped) return;
    const url = new URL('ws', document.baseURI);
    url.protocol = url.protocol.replace('http', 'ws');
    const socket = new WebSocket(url, ['nubo.v1', `bearer.${token}`]);
    this.#socket = socket;
    socket.onmessage = ({ data }) => socket === this.#socket && this.#hear(JSON.parse(data));
    socket.onclose = ({ code }) => {
      if (socket !== this.#socket) return;
      this.#socket = null;
      for (const { reject } of this.#waiting.values()) reject(new Error('disconnected'));
      this.#waiting.clear();
      if (this.#stopped) return;
      if (FINAL.includes(code)) return this.onState('ended');
      this.onState('offline');
      this.#later();
    };
  }

  /** Waits twice as long each time, and by chance less, so that not all come back at once. */
  #later() {
    const most = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#failures++);
    this.#timer = setTimeout(() => this.#connect(), most * (0.5 + Math.random() / 2));
  }

  #hear(message) {
    if (message.id !== undefined) {
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error) {
        waiting?.reject(Object.assign(new Error(message.error.detail), { problem: message.error }));
      } else {
        waiting?.resolve(message.ok);
      }
      return;
    }
    if (message.event === 'welcome') {
      this.#failures = 0;
      this.onState('online');
      for (const [channel, wish] of this.#subscriptions) this.#enter(channel, wish).catch(() => {});
    } else if (message.event === 'expiring') {
      this.token(true).then((token) => this.ask({ op: 'auth', token })).catch(() => {});
    } else {
      const wish = this.#heard.get(message.channel);
      if (!wish) return;
      if (message.position) wish.position = message.position;
      if (message.event === 'reload') wish.onReload(null);
      else wish.onEvent(message);
    }
  }

  async #enter(channel, wish) {
    const { position: since, presence } = wish;
    const message = { op: 'subscribe', channel };
    if (since) message.since = since;
    if (presence) message.presence = true;
    const ok = await this.ask(message);
    if (this.#subscriptions.get(channel) === wish) this.#heard.set(ok.channel, wish);
    // What was missed follows the answer, and its positions are taken from there: should it be cut
    // off halfway, the next time goes on where it ended.
    if (!ok.resumed) {
      wish.position = ok.position;
      wish.onReload(ok.present ?? null);
    } else if (ok.present) {
      wish.onEvent({ event: 'present', present: ok.present });
    }
  }
}
