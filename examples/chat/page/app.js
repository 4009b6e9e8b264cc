// The page: who is signed in, their conversations, and the one that is open.

import * as api from './api.js';
import { Hub } from './hub.js';
import { Room } from './room.js';

const $ = (selector) => document.querySelector(selector);
const names = new Map();
const conversations = new Map(); // id of the conversation → { member, conversation, title }
let hub = null;
let room = null;

/** The name of an account; somebody who may not be seen has none. */
export async function nameOf(id) {
  if (!names.has(id)) {
    names.set(id, api.call('GET', `users/${id}`).then((user) => user.username, () => 'somebody'));
  }
  return names.get(id);
}

/** Runs what a form asks for, and shows under it why that failed. */
function onSubmit(form, work) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const error = form.querySelector('.error') ?? form.parentElement.querySelector('.error');
    error.textContent = '';
    try {
      await work(Object.fromEntries(new FormData(form)), event.submitter?.value);
    } catch (problem) {
      error.textContent = problem.message;
    }
  });
}

onSubmit($('#sign'), async ({ username, email, password }, way) => {
  const account = { username, email, password, first_name: username, last_name: '' };
  if (way === 'signup') await api.enter('signup', account);
  else await api.enter('login', { identifier: username, password });
  begin();
});

onSubmit($('#start'), async ({ username }) => {
  const { data: [user] } = await api.list('users', { filter: { username: username.trim().toLowerCase() } });
  if (!user) throw new Error('there is nobody of this name');
  const isIt = ([, { conversation, others }]) => conversation?.type === 0 && others?.includes(user.id);
  const known = [...conversations].find(isIt);
  const id = known?.[0] ?? crypto.randomUUID();
  if (!known) {
    // All or nothing: nobody sees a conversation without its people.
    await api.call('POST', 'batch', [
      { collection: 'conversations', create: { id, type: 'direct' } },
      { collection: 'conversation_members', create: { conversation_id: id, role: 'creator' } },
      { collection: 'conversation_members', create: { conversation_id: id, user_id: user.id } },
    ]);
  }
  $('#start').reset();
  await readConversations();
  await open(id);
});

onSubmit($('#write'), async ({ content }) => {
  await room.send(content);
  $('#write').reset();
});
$('#write input').addEventListener('input', () => room?.tellTyping());
$('#leave').addEventListener('click', async () => {
  await api.leave();
  end();
});
$('#back').addEventListener('click', close);

function begin() {
  $('#door').hidden = true;
  $('#chat').hidden = false;
  $('#me').textContent = api.me().username;
  hub = new Hub({
    token: api.token,
    onState: (state) => (state === 'ended' ? end() : ($('#link').textContent = state)),
  });
  hub.subscribe('user:me', { onEvent: hear, onReload: readConversations });
}

function end() {
  close();
  hub?.stop();
  location.reload();
}

/** What concerns the account. Of its channel, the memberships carry what is not read yet. */
function hear({ event, collection, document }) {
  if (collection !== 'conversation_members' || event === 'deleted' || event === 'left') return;
  if (document.user_id === api.me().id) take(document).then(show);
}

async function readConversations() {
  const filter = { user_id: api.me().id };
  let cursor = null;
  do {
    const page = await api.list('conversation_members', { filter, limit: 200, ...(cursor && { cursor }) });
    await Promise.all(page.data.map(take));
    cursor = page.next_cursor;
  } while (cursor);
  show();
}

/** Takes a membership in, unless a newer state of it is known, with what was said last. */
async function take(member) {
  const id = member.conversation_id;
  const known = conversations.get(id);
  if (known && known.member._rev > member._rev) return;
  const entry = { ...known, member };
  conversations.set(id, entry);
  entry.conversation = await api.call('GET', `conversations/${id}`);
  if (entry.title && entry.title !== 'alone') return;
  const others = await api.list('conversation_members', {
    filter: { conversation_id: id, user_id: { $ne: api.me().id } },
  });
  entry.others = others.data.map(({ user_id }) => user_id);
  const found = await Promise.all(entry.others.map(nameOf));
  entry.title = entry.conversation.title ?? (found.join(', ') || 'alone');
}

function show() {
  const time = ({ conversation }) => conversation?.last_message_time ?? conversation?.created_at ?? '';
  const entries = [...conversations].sort(([, a], [, b]) => time(b).localeCompare(time(a)));
  $('#conversations').replaceChildren(...entries.map(([id, { member, conversation, title }]) => {
    const unread = room?.id === id ? 0 : member.unread_count;
    const button = document.createElement('button');
    for (const [kind, text] of [
      ['name', title ?? '…'], ['last', conversation?.last_message_text ?? ''], ['unread', unread || ''],
    ]) {
      const part = document.createElement('span');
      part.className = kind;
      part.textContent = text;
      button.append(part);
    }
    if (unread) button.setAttribute('aria-label', `${title}, ${unread} unread`);
    if (room?.id === id) button.setAttribute('aria-current', 'true');
    button.addEventListener('click', () => open(id));
    const item = document.createElement('li');
    item.append(button);
    return item;
  }));
  // What comes in while one looks at it is read.
  const current = room && conversations.get(room.id);
  if (current?.member.unread_count && !document.hidden) markRead(current.member);
}

function markRead(member) {
  member.unread_count = 0;
  api.call('PATCH', `conversation_members/${member.id}`, { unread_count: 0 }).catch(() => {});
}
document.addEventListener('visibilitychange', show);

async function open(id) {
  room?.close();
  $('#room').hidden = false;
  $('#chat').classList.add('open');
  $('#title').textContent = conversations.get(id)?.title ?? '';
  room = new Room({ id, hub, nameOf });
  show();
  await room.open();
}

function close() {
  room?.close();
  room = null;
  $('#room').hidden = true;
  $('#chat').classList.remove('open');
  show();
}

if (api.me()) begin();
