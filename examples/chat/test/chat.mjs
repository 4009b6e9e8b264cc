// Two people talk in two browser contexts; one of them is cut off meanwhile. Needs a running chat
// (NUBO_URL) and a Chromium (CHROMIUM).

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../../tests/browser/', import.meta.url));
const { chromium } = require('playwright-core');
const url = process.env.NUBO_URL;
const faults = [];

/** Somebody new, at a page whose connections the test can cut. */
async function person(browser, name) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on('pageerror', (error) => faults.push(`${name}: ${error.message}`));
  const cut = { server: null, is: false };
  await page.routeWebSocket(/\/ws$/, async (socket) => {
    if (cut.is) return socket.close({ code: 1001 });
    const server = socket.connectToServer();
    cut.socket = socket;
    cut.server = server;
  });
  await page.goto(url);
  await page.getByLabel('User name').fill(name);
  await page.getByLabel('Password').fill('a quiet evening in town');
  await page.getByLabel('E-mail').fill(`${name}@example.org`);
  await page.getByRole('button', { name: 'Sign up' }).click();
  await page.locator('#link', { hasText: 'online' }).waitFor();
  return { name, page, context, cut };
}

async function says({ page }, text) {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
  await page.locator('#messages .mine', { hasText: text }).waitFor();
}

const shown = ({ page }) => page.locator('#messages li').allInnerTexts();
const button = ({ page }, name) => page.locator('#conversations button', { hasText: name });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});
try {
  const ada = await person(browser, 'ada');
  const bob = await person(browser, 'bob');
  await ada.page.getByLabel('Talk to').fill('bob');
  await ada.page.getByRole('button', { name: 'Start' }).click();

  // Bob hears of it without reloading, and of what he has not read.
  await button(bob, 'ada').waitFor();
  await says(ada, 'one');
  await says(ada, 'two');
  await button(bob, 'ada').locator('.unread', { hasText: '2' }).waitFor();
  await button(bob, 'ada').click();
  await bob.page.locator('#messages li', { hasText: 'two' }).waitFor();
  await button(bob, 'ada').locator('.unread:empty').waitFor({ state: 'attached' });

  await ada.page.locator('#present', { hasText: 'bob' }).waitFor();
  await bob.page.locator('#present', { hasText: 'ada' }).waitFor();
  await bob.page.getByLabel('Message', { exact: true }).fill('thr');
  await ada.page.locator('#typing', { hasText: 'bob' }).waitFor();
  await says(bob, 'three');
  await ada.page.locator('#messages li', { hasText: 'three' }).waitFor();

  // Bob is cut off while ada goes on.
  bob.cut.is = true;
  await bob.cut.server.close();
  await bob.cut.socket.close({ code: 1001 });
  await bob.page.locator('#link', { hasText: 'offline' }).waitFor();
  for (const text of ['four', 'five', 'six']) await says(ada, text);
  assert.deepEqual(await shown(bob), ['one', 'two', 'three'], 'bob is really cut off');
  bob.cut.is = false;
  await bob.page.locator('#link', { hasText: 'online' }).waitFor();
  await bob.page.locator('#messages li', { hasText: 'six' }).waitFor();
  await says(bob, 'seven');
  await ada.page.locator('#messages li', { hasText: 'seven' }).waitFor();
  const all = ['one', 'two', 'three', 'four', 'five', 'six', 'seven'];
  assert.deepEqual(await shown(ada), all);
  assert.deepEqual(await shown(bob), all);

  await bob.page.getByRole('button', { name: 'Log out' }).click();
  await bob.page.getByRole('button', { name: 'Log in' }).waitFor();
  await ada.page.locator('#present:empty').waitFor({ state: 'attached' });
  assert.deepEqual(faults, []);
  console.log('1 passed, 0 failed');
} catch (error) {
  console.error(error, faults);
  process.exitCode = 1;
} finally {
  await browser.close();
}
