// Finding sessions, and lines in their output, in a real browser against a real server.

import assert from "node:assert/strict";
import { test } from "node:test";
import { becomes, shot, texts } from "./page.mjs";
import { at, stage } from "./server.mjs";

const { server, view } = stage();

test("the page without a session shows what runs and what failed, and the list has them first", async () => {
  const failed = await server.session("faith");
  await server.run(failed, "echo no; exit 7");
  const running = await server.session("rita");
  await server.submit(running, "sleep 1000");
  const fine = await server.session("fred");
  await server.run(fine, "true");
  const page = await view(server.address);
  await page.locator("#welcome-running li", { hasText: "sleep 1000" }).waitFor();
  await page.locator("#welcome-failed li", { hasText: "exit 7" }).waitFor();
  await becomes(() => page.locator("#welcome-failed li", { hasText: "fred" }).count(), 0);
  await listed(page, ["#2 rita", "#1 faith", "#3 fred"]);
  await becomes(() => page.locator("#sessions .dot.is-bad").count(), 1);
  await shot(page, "find-welcome");
  await page.locator("#sort").selectOption("newest");
  await listed(page, ["#3 fred", "#2 rita", "#1 faith"]);
  await page.reload();
  await listed(page, ["#3 fred", "#2 rita", "#1 faith"]);
  await page.locator("#welcome-failed a").click();
  await page.locator(".row.ending", { hasText: "exited with 7" }).waitFor();
});

test("a title and labels are edited, seen in another window, and found with an older command", async () => {
  const session = await server.session("tina");
  await server.run(session, "echo the first of them");
  await server.run(session, "echo last");
  const page = await view(at(server, session));
  const other = await view(at(server, session));
  await page.locator("#state.is-live").waitFor();
  await other.locator("#state.is-live").waitFor();
  await page.locator("#more").click();
  await page.locator("#describe").click();
  await page.locator("#description [name=title]").fill("Release 1.2");
  await page.locator("#description [name=labels]").fill("env=live\nteam = a b\n");
  await page.locator("#description .primary").click();
  for (const window of [page, other]) {
    await window.locator("#name", { hasText: "Release 1.2" }).waitFor();
    await window.locator("#about", { hasText: "tina env=live team=a b".replace(" ", " · ") }).waitFor();
  }
  await page.locator("#sessions .who", { hasText: "Release 1.2" }).waitFor();
  for (const query of ["release", "env=live", "label:team=\"a b\"", "command:first", "tina completed"]) {
    await page.locator("#filter").fill("nothing is called so");
    await listed(page, []);
    await page.locator("#filter").fill(query);
    await listed(page, ["Release 1.2"]);
  }
  await page.locator("#filter").fill("result:nonsense");
  await page.locator("#reach", { hasText: "the names are" }).waitFor();
  await page.locator("#filter").fill("");
  await page.locator("#screen").focus();
  await page.keyboard.press("e");
  await page.locator("#description [name=labels]").fill("env live");
  await page.locator("#description .primary").click();
  await page.locator("#description .problem", { hasText: "key=value" }).waitFor();
  await page.locator("#description [name=labels]").fill("env=test");
  await page.locator("#description .primary").click();
  await page.locator("#about", { hasText: "env=test" }).waitFor();
  const { labels } = await server.ask("GET", `/sessions/${session}`);
  assert.deepEqual(labels, { env: "test" });
});

test("Ctrl-F finds lines in all of the output, counts them and goes from one to the next", async () => {
  const session = await server.session("sam");
  await server.run(session, "printf 'an \\033[31mer'; sleep 0.2; printf 'ror\\033[0m 1\\n'; seq 1 5000; echo error 2; seq 1 300; echo Error 3");
  const page = await view(at(server, session));
  await page.locator(".row.output", { hasText: "Error 3" }).waitFor();
  await page.keyboard.press("Control+f");
  await page.locator("#search-text:focus").waitFor();
  await page.keyboard.type("error");
  await counts(page, "1 of 3");
  await page.locator(".row.is-found", { hasText: "an error 1" }).waitFor();
  await becomes(() => page.evaluate(() => CSS.highlights.get("found").size), 1);
  await shot(page, "find-search");
  await page.keyboard.press("Enter");
  await page.locator(".row.is-found", { hasText: "error 2" }).waitFor();
  for (const count of ["1 of 3", "3 of 3"]) {
    await page.keyboard.press("Shift+Enter");
    await counts(page, count);
  }
  await page.locator(".row.is-found", { hasText: "Error 3" }).waitFor();
  await page.locator("#search-case").check();
  await counts(page, "1 of 2");
  await page.locator("#search-regex").check();
  await page.locator("#search-text").fill("^4999$");
  await page.locator(".row.is-found", { hasText: /^4999$/ }).waitFor();
  // The address is that of the line.
  const link = await page.evaluate(() => location.href);
  assert.match(link, /line=\d+\.\d+/);
  const other = await view(link);
  await other.locator(".row.is-found", { hasText: /^4999$/ }).waitFor();
  await page.locator("#search-text").fill("(");
  await page.locator("#search.is-wrong #search-count", { hasText: "unclosed group" }).waitFor();
  await page.locator("#search-text").fill("nowhere");
  await page.locator("#search-count", { hasText: "Not found" }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#search").waitFor({ state: "hidden" });
  await page.locator("#screen:focus").waitFor();
  await becomes(() => page.evaluate(() => CSS.highlights.get("found").size), 0);
});

test("a line that is no longer on the page is loaded when it is found", async () => {
  const session = await server.session("lena");
  // Each line is an event of its own, and there are more events than a page loads at first.
  await server.run(session, "echo needle one");
  for (let at = 0; at < 3; at += 1) await server.run(session, "seq 1 60000");
  await server.run(session, "echo the end");
  const page = await view(at(server, session));
  await page.locator(".row.output", { hasText: "the end" }).waitFor();
  await page.keyboard.press("Control+f");
  await page.locator("#search-text:focus").waitFor();
  await page.keyboard.type("needle");
  await page.locator(".row.is-found", { hasText: "needle one" }).waitFor();
});

test("long lines are wrapped or not, and all output opens as text", async () => {
  const session = await server.session("wanda");
  await server.run(session, "printf 'x%.0s' $(seq 1 600); echo END; printf '\\033[1mbold\\033[0m\\n'");
  const page = await view(at(server, session));
  await page.locator(".row.output", { hasText: "END" }).waitFor();
  await page.waitForFunction(() => document.querySelectorAll(".row.output").length > 2);
  await page.locator("#more").click();
  await page.locator("#wrap").click();
  await page.waitForFunction(() => document.querySelectorAll(".row.output").length === 2);
  await page.waitForFunction(() => document.getElementById("screen").scrollWidth > innerWidth);
  await page.locator("#more").click();
  await page.locator("#wrap").click();
  await page.waitForFunction(() => document.querySelectorAll(".row.output").length > 2);
  const opened = page.context().waitForEvent("page");
  await page.locator("#more").click();
  await page.locator("#raw").click();
  const text = await opened;
  await text.getByText("END").waitFor();
  await becomes(() => text.locator("body").innerText(), `${"x".repeat(600)}END\nbold\n`);
});

/** Waits until the list has these sessions, in this order. */
const listed = (page, names) => texts(page, "#sessions .who", names);

/** Waits until the search says how many lines it has found. */
const counts = (page, text) => becomes(() => page.locator("#search-count").textContent(), text);
