// The REST routes, in the name of whoever is signed in. The tokens are kept for this tab alone.

let tokens = JSON.parse(sessionStorage.getItem('tokens') ?? 'null');
let refreshing = null;

/** A problem document of the server. */
export class Problem extends Error {
  constructor(status, document) {
    const first = document?.errors?.[0];
    super(first ? `${first.path.slice(1)} ${first.message}` : document?.detail ?? `status ${status}`);
    this.status = status;
    this.code = document?.code;
  }
}

function keep(answer) {
  tokens = answer && { ...answer, ends: Date.now() + answer.expires_in * 1000 };
  sessionStorage.setItem('tokens', JSON.stringify(tokens));
}

async function send(method, path, body, token) {
  const headers = {};
  if (token) headers.authorization = `Bearer ${token}`;
  if (body) headers['content-type'] = 'application/json';
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  const document = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Problem(answer.status, document);
  return document;
}

export const me = () => tokens?.user ?? null;

export async function enter(path, body) {
  keep(await send('POST', path, body));
}

export async function leave() {
  await send('POST', 'logout', {}, tokens?.access_token).catch(() => {});
  keep(null);
}

/** An access token that is good for a while; `renew` asks for another one in any case. */
export async function token(renew = false) {
  if (!tokens) throw new Problem(401, { detail: 'not signed in' });
  if (!renew && tokens.ends - Date.now() > 30_000) return tokens.access_token;
  // Each refresh token is used once, so whoever asks meanwhile gets the same answer.
  refreshing ??= send('POST', 'refresh', { refresh_token: tokens.refresh_token })
    .then(keep)
    .catch((error) => {
      if (error.status === 401) keep(null);
      throw error;
    })
    .finally(() => (refreshing = null));
  await refreshing;
  return tokens.access_token;
}

export async function call(method, path, body) {
  try {
    return await send(method, path, body, await token());
  } catch (error) {
    if (error.code !== 'expired_token') throw error;
    return send(method, path, body, await token(true));
  }
}

export function list(collection, { filter, ...rest }) {
  const query = new URLSearchParams(rest);
  if (filter) query.set('filter', JSON.stringify(filter));
  return call('GET', `${collection}?${query}`);
}
