// What tests do with a page of the console, and what they wait for.
//
// Invariant: each wait names exactly what is expected. A page that "has stopped changing" may only be
// slow: then a test that compares what it shows fails once in twenty.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";

/**
 * Milliseconds after which what is expected does not come any more. Most of it comes within one second, and
 * on a machine that does other things as well within ten.
 */
export const PATIENCE = 90_000;

/** Waits until something is true. A page that cannot be asked, because it is being loaded, is asked again. */
export async function until(isTrue) {
  const end = performance.now() + PATIENCE;
  for (let cause; ; ) {
    try {
      if (await isTrue()) return;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > end) throw new Error("it has not come true in time", { cause });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Waits until what is read is what is expected, and says what it was last if that never happens. */
export async function becomes(read, expected, message) {
  let last;
  const isThere = async () => isDeepStrictEqual((last = await read()), expected);
  await until(isThere).catch(({ cause }) => {
    if (cause) throw cause;
  });
  assert.deepEqual(last, expected, message);
}

/** Waits until none of these elements is in sight. */
export async function unseen(page, selectors) {
  for (const selector of selectors) {
    await becomes(() => page.locator(selector).isVisible(), false, selector);
  }
}

/** Waits until the elements have these texts. */
export const texts = (page, selector, expected) =>
  becomes(() => page.locator(selector).allTextContents(), expected, selector);

/** Waits until a page shows these lines of output. */
export const outputs = (page, lines) => texts(page, ".row.output", lines);

/**
 * Waits until the last line of output has this word and a number that is at least this. Not for one
 * line: only those in sight are on the page, and a slow page does not see each of them.
 */
export async function counted(page, word, least) {
  const counts = ([word, least]) => {
    const last = [...document.querySelectorAll(".row.output")].pop()?.textContent ?? "";
    return last.startsWith(`${word} `) && Number.parseInt(last.slice(word.length + 1), 10) >= least;
  };
  await page.waitForFunction(counts, [word, least]);
}

/** Types a line at the prompt. */
export async function say(page, text) {
  await page.locator("#statement").fill(text);
  await page.locator("#statement").press("Enter");
}

/** Waits until a page shows that `count` jobs have been submitted and that the last of these has finished. */
export async function finished(page, count) {
  await page.waitForFunction((least) => {
    const jobs = [...document.querySelectorAll("#jobs-list li")];
    return jobs.length >= least && !jobs[jobs.length - least].querySelector(".is-running, .is-interrupting");
  }, count);
}

/** All text of the session, as the menu copies it. */
export async function copied(page) {
  await until(() => page.evaluate(() => navigator.clipboard.writeText("").then(() => true)));
  await page.locator("#more").click();
  await page.locator("#copy").click();
  const read = () => page.evaluate(() => navigator.clipboard.readText());
  await until(async () => (await read()) !== "");
  return read();
}

/** The session in a page's address. */
export const sessionOf = (page) => new URLSearchParams(new URL(page.url()).hash.slice(1)).get("session");

export async function logIn(page, name, password) {
  await page.locator("#login[open]").waitFor();
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByLabel("Password").press("Enter");
}

/** Waits until nothing of a page is further right than its window. */
export const isNoWider = (page) =>
  becomes(() => page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - innerWidth)), 0, "pixels too wide");

/** Brings a page into sight, or out of it. */
export async function see(page, isSeen) {
  await page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
  }, !isSeen);
}

/** Leaves a picture, if `SHOTS` names a folder. */
export async function shot(page, name) {
  if (!process.env.SHOTS) return;
  mkdirSync(process.env.SHOTS, { recursive: true });
  await page.screenshot({ path: join(process.env.SHOTS, `${name}.png`) });
}

/** The rows that a terminal shows. */
export async function screen(page) {
  const frame = page.frames().find((it) => it.url().includes("terminal.html"));
  return frame.evaluate(() => {
    const rows = [...document.querySelectorAll(".xterm-rows > div")];
    return rows.map((row) => row.textContent.replaceAll("\u00a0", " ").trimEnd());
  });
}

/** Waits until a terminal shows something, and gives its rows. */
export async function says(page, expression) {
  let last = [];
  const isShown = async () => expression.test((last = await screen(page).catch(() => [])).map((row) => row.padEnd(1)).join("\n"));
  await until(isShown).catch(() => assert.fail(`no ${expression} in:\n${last.join("\n")}`));
  return last;
}

/** Types, and waits for what comes of it. */
export async function typed(page, text, expression) {
  await page.keyboard.type(text);
  return says(page, expression);
}

/** Waits until one terminal shows something, and another window of it the same. */
export async function same(one, other, expression, message) {
  let rows;
  const areSame = async () => {
    rows = [await says(one, expression), await screen(other).catch(() => [])];
    return isDeepStrictEqual(...rows);
  };
  await until(areSame).catch(() => {});
  assert.deepEqual(rows[1], rows[0], message);
}

/** Waits until keys go to the terminal of a page that has nothing else. */
export async function typesHere(page) {
  await page.getByText("You type here.").waitFor();
  await page.locator(".xterm-helper-textarea:focus").waitFor({ state: "attached" });
}

/** Waits until keys go to the terminal in a page of the console. */
export async function keysGoToTerminal(page) {
  const terminal = page.frameLocator("#inline iframe");
  await terminal.getByText("You type here.").waitFor();
  await page.waitForFunction(() => document.activeElement.tagName === "IFRAME");
  await terminal.locator(".xterm-helper-textarea:focus").waitFor({ state: "attached" });
  return terminal;
}
