// The command line of the console in a real browser: input at once, commands that wait, the directory,
// keys; and what a page that nobody looks at shows.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { becomes, finished, keysGoToTerminal, outputs, say, says, see, shot, texts, until } from "./page.mjs";
import { at, stage, waitsFor } from "./server.mjs";

const { server, view } = stage();

test("a command entered while another runs waits for it if one says so, and then runs", async () => {
  const { page, session } = await opened("waits");
  await say(page, `${waitsFor("first")}; echo first`);
  await page.locator("#interrupt").waitFor();
  await entered(page, "echo second");
  await page.locator("#choice-text", { hasText: "Still running: until" }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#choice").waitFor({ state: "hidden" });
  await page.locator("#statement:focus").waitFor();
  for (const command of ["echo second", "echo third"]) {
    await entered(page, command);
    await page.locator("#choice-next:focus").waitFor();
    await page.keyboard.press("Enter");
    await page.locator("#queue li", { hasText: command }).waitFor();
    await page.locator("#statement:focus").waitFor();
  }
  await texts(page, "#queue .why", ["Runs next", "Then"]);
  await shot(page, "prompt-queue");
  assert.equal((await server.ask("GET", `/sessions/${session}`)).jobs.length, 1);
  server.allow("first");
  await finished(page, 3);
  await outputs(page, ["first", "second", "third"]);
  await page.locator("#queue").waitFor({ state: "hidden" });
});

test("what waits runs also if a command ends before the answer that it was taken", async () => {
  const { page, session } = await opened("early");
  await say(page, `${waitsFor("early")}; echo first`);
  await page.locator("#interrupt").waitFor();
  for (const command of ["echo second", "echo third"]) {
    await entered(page, command);
    await page.locator("#choice-next").click();
  }
  let count = 1;
  await page.route("**/jobs", async (route) => {
    const response = await route.fetch();
    await finished(page, (count += 1));
    await route.fulfill({ response });
  });
  server.allow("early");
  await finished(page, 3);
  await outputs(page, ["first", "second", "third"]);
  assert.equal((await server.ask("GET", `/sessions/${session}`)).jobs.length, 3);
});

test("what waits stays for a click after an interrupt and after a reload", async () => {
  const { page, session } = await opened("held");
  await say(page, `${waitsFor("never")}`);
  await page.locator("#interrupt").waitFor();
  await entered(page, "echo later");
  await page.locator("#choice-next").click();
  await page.locator("#interrupt").click();
  await page.locator("#queue .is-held", { hasText: "was interrupted" }).waitFor();
  await shot(page, "prompt-held");
  await page.reload();
  await page.locator("#queue .is-held", { hasText: "the page was loaded again" }).waitFor();
  assert.equal((await server.ask("GET", `/sessions/${session}`)).jobs.length, 1);
  await page.locator("#queue").getByText("Run", { exact: true }).click();
  await outputs(page, ["later"]);
  await page.locator("#queue").waitFor({ state: "hidden" });
});

test("what a command asks for is typed at once, also if its answer comes late", async () => {
  const { page } = await opened("input");
  await page.route("**/jobs", async (route) => {
    const response = await route.fetch();
    await says(page, /^Name\?/m);
    await route.fulfill({ response });
  });
  await say(page, "printf 'Name? '; read name; echo hello $name");
  await keysGoToTerminal(page);
  await page.keyboard.type("anna\n");
  await outputs(page, ["Name? anna", "hello anna"]);
  await page.unroute("**/jobs");
  await say(page, "printf 'Again? '; read name; echo hello $name");
  await says(page, /^Again\?/m);
  await keysGoToTerminal(page);
  await entered(page, "bo");
  await page.locator("#choice-input").click();
  await outputs(page, ["Name? anna", "hello anna", "Again? bo", "hello bo"]);
});

test("a line entered while another is on its way is kept and sent", async () => {
  const { page, session } = await opened("fast");
  let release;
  const isReleased = new Promise((resolve) => (release = resolve));
  let isFirst = true;
  await page.route("**/jobs", async (route) => {
    if (!isFirst) return route.continue();
    isFirst = false;
    const response = await route.fetch();
    await isReleased;
    await route.fulfill({ response });
  });
  await say(page, "echo one");
  await finished(page, 1);
  await say(page, "echo two");
  release();
  await finished(page, 2);
  await outputs(page, ["one", "two"]);
  assert.equal((await server.ask("GET", `/sessions/${session}`)).jobs.length, 2);
});

test("the prompt shows the directory in which the next command runs", async () => {
  const { page } = await opened("directory");
  const directory = page.locator("#directory");
  await becomes(() => directory.getAttribute("title"), server.directory);
  await say(page, "cd /usr/share");
  await becomes(() => directory.textContent(), "/usr/share");
  await page.reload();
  await becomes(() => directory.textContent(), "/usr/share");
  const deep = join(server.directory, "a-folder-with-a-name", "inner");
  await say(page, `mkdir -p ${deep}; cd ${deep}`);
  await becomes(() => directory.textContent(), "…/a-folder-with-a-name/inner");
  await becomes(() => directory.getAttribute("title"), deep);
  await shot(page, "prompt-directory");
});

test("the keys are listed from the command line, too", async () => {
  const { page } = await opened("keys");
  await page.locator("#statement").focus();
  await page.keyboard.type("?");
  await becomes(() => page.locator("#statement").inputValue(), "?");
  await page.keyboard.press("F1");
  await page.locator("#keys[open]").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#keys").waitFor({ state: "hidden" });
  await page.locator("#prompt-keys").click();
  await page.locator("#keys[open] kbd", { hasText: "F1" }).waitFor();
});

test("a long command that ends unseen is shown in the title, and by a notification only if that was asked for", async () => {
  const { page } = await opened("notify", { isLongAfter: 200, permissions: ["notifications"] });
  await page.locator("#state.is-live").waitFor();
  await say(page, `${waitsFor("unseen")}; sleep 0.3; exit 3`);
  await page.locator("#interrupt").waitFor();
  await see(page, false);
  server.allow("unseen");
  await becomes(() => page.title(), "(1) ✗ until [ -e unseen ]; do sleep 0.05; done; sleep 0.3; exit 3 · Rejoin");
  assert.deepEqual(await page.evaluate(() => window.notified), { asked: 0, shown: [] });
  await see(page, true);
  await until(async () => !(await page.title()).startsWith("(1)"));

  await page.locator("#more").click();
  await page.locator("#notify").click();
  await page.locator('#notify[aria-checked="true"]').waitFor({ state: "attached" });
  await becomes(() => page.evaluate(() => window.notified.asked), 1);
  await say(page, `${waitsFor("again")}; sleep 0.3`);
  await page.locator("#interrupt").waitFor();
  await see(page, false);
  server.allow("again");
  await until(async () => (await page.evaluate(() => window.notified.shown.length)) === 1);
  const [shown] = await page.evaluate(() => window.notified.shown);
  assert.match(shown, /^✓ until \[ -e again \].* — exit 0 · /);
  // What is in sight is not notified.
  await see(page, true);
  await say(page, "sleep 0.3; echo seen");
  await finished(page, 3);
  assert.equal(await page.evaluate(() => window.notified.shown.length), 1);
  await page.reload();
  await page.locator('#notify[aria-checked="true"]').waitFor({ state: "attached" });
});

test("a page that has closed its connection notices that its command has ended", async () => {
  const session = await server.session("away");
  const { page } = await opened(session, { isLongAfter: 200, hasClock: true });
  await page.locator("#state.is-live").waitFor();
  await server.submit(session, `${waitsFor("away")}; echo done`);
  await page.locator("#interrupt").waitFor();
  const cut = page.waitForEvent("requestfailed", (request) => new URL(request.url()).pathname.endsWith("/stream"));
  await see(page, false);
  await page.clock.runFor(11_000);
  await cut;
  server.allow("away");
  await until(async () => (await server.ask("GET", `/sessions/${session}`)).state === "idle");
  await until(async () => {
    await page.clock.runFor(2_000);
    return (await page.title()).startsWith("(1) ✓ until");
  });
});

/** A window of a new session, or of one that is there. */
async function opened(name, { isLongAfter, hasClock, permissions = [] } = {}) {
  const session = /^[0-9a-f-]{36}$/.test(name) ? name : await server.session(name);
  const page = await view("about:blank", { permissions });
  if (hasClock) await page.clock.install();
  await page.addInitScript(watchNotifications);
  if (isLongAfter) {
    // A command of a minute takes a minute.
    await page.route("**/console/limits.js", async (route) => {
      const response = await route.fetch();
      const body = (await response.text()).replace("LONG_JOB = 60_000", `LONG_JOB = ${isLongAfter}`);
      await route.fulfill({ response, body });
    });
  }
  await page.goto(at(server, session));
  return { page, session };
}

/** Notes what the page asks of the browser and what it shows. */
function watchNotifications() {
  window.notified = { asked: 0, shown: [] };
  const { requestPermission } = Notification;
  const real = Notification;
  window.Notification = class extends EventTarget {
    static permission = real.permission;

    static async requestPermission() {
      window.notified.asked += 1;
      this.permission = await requestPermission.call(real);
      return this.permission;
    }

    constructor(title, { body }) {
      super();
      window.notified.shown.push(`${title} — ${body}`);
    }
  };
}

/** Enters a command, wherever the focus is. */
async function entered(page, command) {
  await page.locator("#statement").click();
  await say(page, command);
}
