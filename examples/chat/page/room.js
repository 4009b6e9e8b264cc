// The conversation that is open: its messages, who is there, and who is writing.

import * as api from './api.js';

const PAGE = 40;
const TYPING_EVERY = 2_000;
const TYPING_LASTS = 4_000;
const $ = (selector) => document.querySelector(selector);

export class Room {
  #messages = new Map();
  #gone = new Set(); // what went while a list was under way, which may still have it
  #present = new Set();
  #typing = new Map();
  #cursor = null;
  #loading = false;
  #told = 0;
  #closed = false;

  constructor({ id, hub, nameOf }) {
    Object.assign(this, { id, hub, nameOf, channel: `conversation:${id}` });
    $('#messages').replaceChildren();
    $('#messages').onscroll = () => $('#messages').scrollTop < 100 && this.#older();
  }

  open() {
    return this.hub.subscribe(this.channel, {
      presence: true,
      onEvent: (event) => this.#hear(event),
      onReload: (present) => this.#read(present),
    });
  }

  close() {
    this.#closed = true;
    this.hub.unsubscribe(this.channel);
    for (const timer of this.#typing.values()) clearTimeout(timer);
    $('#typing').textContent = $('#present').textContent = '';
  }

  /** A message is shown when it comes back over the channel, or by the answer, whichever is first. */
  async send(content) {
    this.#told = 0;
    this.#take(await api.call('POST', 'messages', { conversation_id: this.id, content }));
    this.#show(true);
  }

  tellTyping() {
    if (Date.now() - this.#told < TYPING_EVERY) return;
    this.#told = Date.now();
    const document = { conversation_id: this.id };
    this.hub.ask({ op: 'publish', collection: 'typing', document }).catch(() => {});
  }

  /** The newest messages, from scratch: what was deleted meanwhile must go. */
  async #read(present) {
    if (present) this.#present = new Set(present);
    this.#showPresent();
    // What comes over the channel while the list is under way is newer than the list.
    this.#messages.clear();
    this.#gone.clear();
    const page = await this.#page({});
    this.#cursor = page.next_cursor;
    this.#show(true);
  }

  async #older() {
    if (!this.#cursor || this.#loading) return;
    this.#loading = true;
    const list = $('#messages');
    const below = list.scrollHeight - list.scrollTop;
    try {
      this.#cursor = (await this.#page({ cursor: this.#cursor })).next_cursor;
      this.#show(false);
      list.scrollTop = list.scrollHeight - below;
    } finally {
      this.#loading = false;
    }
  }

  async #page(more) {
    const filter = { conversation_id: this.id };
    const page = await api.list('messages', { filter, sort: '-created_at', limit: PAGE, ...more });
    for (const message of page.data) if (!this.#gone.has(message.id)) this.#take(message);
    return page;
  }

  #take(message) {
    const known = this.#messages.get(message.id);
    if (!known || known._rev < message._rev) this.#messages.set(message.id, message);
  }

  #hear({ event, collection, document, account, state, present }) {
    if (event === 'present') this.#present = new Set(present);
    if (event === 'presence') {
      if (state === 'joined') this.#present.add(account);
      else this.#present.delete(account);
    }
    if (event === 'present' || event === 'presence') this.#showPresent();
    if (collection === 'typing' && document.user_id !== api.me().id) this.#sees(document.user_id);
    if (collection !== 'messages') return;
    if (event === 'deleted' || event === 'left') {
      this.#messages.delete(document.id);
      this.#gone.add(document.id);
    } else {
      this.#gone.delete(document.id);
      this.#take(document);
    }
    if (event === 'created') this.#stops(document.sender_id);
    const list = $('#messages');
    this.#show(list.scrollHeight - list.scrollTop - list.clientHeight < 80);
  }

  #show(toTheEnd) {
    if (this.#closed) return;
    const order = (a, b) => a.created_at.localeCompare(b.created_at) || a.id.localeCompare(b.id);
    const list = $('#messages');
    const items = new Map([...list.children].map((item) => [item.dataset.id, item]));
    list.replaceChildren(...[...this.#messages.values()].sort(order).map((message) => {
      const item = items.get(message.id) ?? document.createElement('li');
      item.dataset.id = message.id;
      item.className = message.sender_id === api.me().id ? 'mine' : '';
      item.title = new Date(message.created_at).toLocaleString();
      item.textContent = message.content ?? '';
      return item;
    }));
    if (toTheEnd) list.scrollTop = list.scrollHeight;
  }

  async #showPresent() {
    const others = [...this.#present].filter((id) => id !== api.me().id);
    const names = await Promise.all(others.map(this.nameOf));
    if (!this.#closed) $('#present').textContent = names.length ? `online: ${names.join(', ')}` : '';
  }

  #sees(account) {
    clearTimeout(this.#typing.get(account));
    this.#typing.set(account, setTimeout(() => this.#stops(account), TYPING_LASTS));
    this.#showTyping();
  }

  #stops(account) {
    clearTimeout(this.#typing.get(account));
    if (this.#typing.delete(account)) this.#showTyping();
  }

  async #showTyping() {
    const names = await Promise.all([...this.#typing.keys()].map(this.nameOf));
    if (!this.#closed) $('#typing').textContent = names.length ? `${names.join(', ')} is writing…` : '';
  }
}
