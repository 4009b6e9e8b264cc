// Reads the API's documentation as a person does: opens /docs, signs up, puts the access token into
// the dialog "Authorize", tries a POST out, and reads back with GET what it made. Needs a running server (NUBO_URL) and a Chromium (CHROMIUM).

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const url = (process.env.NUBO_URL ?? 'http://127.0.0.1:8080').replace(/\/$/, '');
// A collection whose documents need no others, and whose rules let the one who made a document read
// it.
const collection = process.env.NUBO_COLLECTION ?? 'posts';
const body = JSON.parse(process.env.NUBO_BODY ?? '{"content": "Tried out", "visibility": "private"}');
const account = {
  username: `reader-${Date.now()}`,
  email: `reader-${Date.now()}@example.org`,
  password: 'a horse that reads documents',
  first_name: 'Ada',
  last_name: 'Reader',
};

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** The block of an operation, opened and ready to be filled in. */
async function open(page, tag, operation) {
  const block = page.locator(`[id="operations-${tag}-${operation}"]`);
  if (!(await block.isVisible())) {
    await page.locator(`[id="operations-tag-${tag}"]`).click();
  }
  await block.waitFor();
  if (!(await block.getAttribute('class')).includes('is-open')) {
    await block.locator('.opblock-summary-control').click();
  }
  const tryOut = block.getByRole('button', { name: 'Try it out' });
  const execute = block.locator('button.execute');
  await tryOut.or(execute).first().waitFor();
  if (await tryOut.isVisible()) {
    await tryOut.click();
  }
  await execute.waitFor();
  return block;
}

/** Executes an operation; the status and the body that the page shows in place of an earlier answer. */
async function execute(block) {
  const answer = block.locator('.live-responses-table tbody .response');
  const clear = block.getByRole('button', { name: 'Clear', exact: true });
  if (await clear.isVisible()) {
    await clear.click();
    await answer.waitFor({ state: 'detached' });
  }
  await block.locator('button.execute').click();
  await answer.locator('.response-col_status').waitFor();
  const status = Number.parseInt(await answer.locator('.response-col_status').innerText(), 10);
  const text = await answer.locator('.response-col_description .highlight-code').first().innerText();
  const json = text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1);
  return { status, body: JSON.parse(json) };
}

/** Gives an access token to the dialog behind the button "Authorize". */
async function authorize(page, token) {
  await page.locator('.auth-wrapper button.authorize').first().click();
  const dialog = page.locator('.dialog-ux .modal-ux');
  await dialog.locator('input').fill(token);
  await dialog.locator('button.authorize').click();
  await dialog.locator('button', { hasText: 'Logout' }).waitFor();
  await dialog.locator('button.btn-done').click();
  await dialog.waitFor({ state: 'detached' });
}

async function documentationCanBeTriedOut(page) {
  const problems = [];
  page.on('pageerror', (error) => problems.push(`the page fails: ${error.message}`));
  page.on('requestfailed', (request) => problems.push(`not loaded: ${request.url()}`));
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol.startsWith('http') && origin !== new URL(url).origin) {
      problems.push(`loaded from elsewhere: ${request.url()}`);
    }
  });

  const answer = await page.goto(`${url}/docs`);
  assert.equal(answer.status(), 200, 'GET /docs');
  const document = await page.evaluate(async () => (await fetch('openapi.json')).json());
  const signUp = document.paths['/signup'].post;
  const create = document.paths[`/${collection}`].post.operationId;
  const read = document.paths[`/${collection}/{id}`].get.operationId;

  // Whoever is not signed in is told so.
  const post = await open(page, collection, create);
  await post.locator('textarea.body-param__text').fill(JSON.stringify(body));
  const refused = await execute(post);
  assert.equal(refused.status, 401, `${create}: ${JSON.stringify(refused.body)}`);
  assert.equal(refused.body.code, 'missing_token');

  const form = await open(page, signUp.tags[0], signUp.operationId);
  await form.locator('textarea.body-param__text').fill(JSON.stringify(account));
  const signedUp = await execute(form);
  assert.equal(signedUp.status, 201, `${signUp.operationId}: ${JSON.stringify(signedUp.body)}`);
  await authorize(page, signedUp.body.access_token);

  const created = await execute(post);
  assert.equal(created.status, 201, `${create}: ${JSON.stringify(created.body)}`);
  assert.match(created.body.id, /^[0-9a-f-]{36}$/);
  if (process.env.NUBO_COLLECTION === undefined) {
    assert.equal(created.body.user_id, signedUp.body.user.id);
  }

  const get = await open(page, collection, read);
  await get.locator('tr[data-param-name="id"] input').fill(created.body.id);
  const found = await execute(get);
  assert.equal(found.status, 200, `${read}: ${JSON.stringify(found.body)}`);
  assert.deepEqual(found.body, created.body);

  assert.deepEqual(problems, []);
}

const profile = await mkdtemp(join(tmpdir(), 'nubo-browser-'));
let failed = 0;
let context;
try {
  context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: FLAGS,
    headless: true,
  });
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(30_000);
  await documentationCanBeTriedOut(page);
} catch (error) {
  failed = 1;
  console.error(error);
} finally {
  await context?.close();
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
}
console.log(`${1 - failed} passed, ${failed} failed`);
process.exitCode = failed;
