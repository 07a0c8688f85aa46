// The console in a real browser against a real server.
//
//     REJOIN_BINARY=target/release/rejoin npm test
//
// With `SHOTS=folder` it leaves pictures of what it saw.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SHOWN_IDLENESS } from "../../frontends/console/assets/limits.js";
import {
  becomes, copied, counted, finished, isNoWider, logIn, outputs, say, see, sessionOf, shot, texts, unseen, until,
} from "./page.mjs";
import { at, stage } from "./server.mjs";

const { server, view, another } = stage();

test("a new session runs a command and shows its colours", async () => {
  const page = await view(server.address);
  await page.locator("#create").click();
  await page.locator("#state.is-live").waitFor();
  await page.locator("#statement:focus").waitFor();
  await page.keyboard.type("printf '\\033[32mgood\\033[0m \\033[1;31mbad\\033[0m\\n'; exit 3");
  await page.keyboard.press("Enter");
  await page.locator(".row.ending", { hasText: "exited with 3" }).waitFor();
  await texts(page, ".row.output .c2", ["good"]);
  await texts(page, ".row.output .c1.bold", ["bad"]);
  await page.locator("#jobs-list .badge", { hasText: /^exit 3 · / }).waitFor();
  const session = sessionOf(page);
  await server.run(session, "echo oops >&2", { output: "separate" });
  await page.locator(".row.is-error", { hasText: "oops" }).waitFor();
  await page.locator("#sessions a[aria-current] .dot.is-idle").waitFor();
});

test("a command of an agent is marked as an agent's", async () => {
  const session = await server.session("agent");
  const call = { name: "run", arguments: { command: "echo from an agent", session } };
  const message = { jsonrpc: "2.0", id: 1, method: "tools/call", params: call };
  const answer = await fetch(`${server.address}/mcp`, { method: "POST", body: JSON.stringify(message) });
  assert.equal((await answer.json()).result.structuredContent.exit_status, 0);
  const page = await view(at(server, session));
  await finished(page, 1);
  await page.locator("#jobs-list .badge", { hasText: /^agent exit 0 · / }).waitFor();
});

test("two windows show the same, whichever one types", async () => {
  const session = await server.session("two");
  const one = await view(at(server, session));
  const other = await view(at(server, session));
  await say(one, "seq 1 40");
  await finished(other, 1);
  await say(other, "echo from the other");
  await finished(one, 2);
  await finished(other, 2);
  const text = await copied(one);
  assert.equal(await copied(other), text);
  const lines = Array.from({ length: 40 }, (_, line) => `${line + 1}\n`).join("");
  assert.equal(text, `$ seq 1 40\n${lines}\n$ echo from the other\nfrom the other\n`);
});

test("a page reloaded in mid-output shows everything once", async () => {
  const session = await server.session("reload");
  const page = await view(at(server, session));
  await server.submit(session, "for i in $(seq 1 400); do echo line $i of it; sleep 0.005; done");
  for (const line of [40, 150, 260]) {
    await counted(page, "line", line);
    await page.reload();
  }
  await finished(page, 1);
  const said = await server.said(session);
  assert.equal(said.split("\n").length, 401);
  assert.equal((await copied(page)).split("\n").slice(1).join("\n"), said);
  await page.locator("#statement").press("ArrowUp");
  await until(async () => /^for i in /.test(await page.locator("#statement").inputValue()));
});

test("Ctrl-C interrupts, unless something is selected", async () => {
  const session = await server.session("interrupt");
  const page = await view(at(server, session));
  await server.submit(session, "echo begun; sleep 100");
  await page.locator(".row.output", { hasText: "begun" }).waitFor();
  await page.locator(".row.output", { hasText: "begun" }).dblclick();
  await page.keyboard.press("Control+c");
  await page.locator("#statement").click();
  await page.waitForFunction(() => getSelection().toString() === "");
  assert.equal((await server.ask("GET", `/sessions/${session}`)).state, "running");
  await page.keyboard.press("Control+c");
  await page.locator(".row.ending", { hasText: "interrupted" }).waitFor();
  await say(page, "sleep 100");
  await page.locator("#interrupt").click();
  await finished(page, 2);
});

test("the page reconnects to a killed server and shows everything once", async () => {
  const session = await server.session("killed");
  const page = await view(at(server, session));
  await server.submit(session, "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.02; done");
  await counted(page, "tick", 20);
  await server.kill();
  await page.locator("#state.is-reconnecting").waitFor();
  await server.restart();
  await page.locator("#state.is-live").waitFor();
  // The command has gone on, and its output goes on where it was.
  await counted(page, "tick", 100);
  await page.locator("#interrupt").click();
  await page.locator(".row.ending", { hasText: "interrupted" }).waitFor();
  await say(page, "echo on it goes");
  await page.locator(".row.output", { hasText: "on it goes" }).waitFor();
  await finished(page, 2);
  const shown = (await copied(page)).split("\n").filter((line) => /^(tick|on it)/.test(line));
  assert.deepEqual(shown, (await server.said(session)).trimEnd().split("\n"));
});

test("a session is replayed: by link, by key, by pointer, and by the play button", async () => {
  const session = await server.session("replay");
  const steps = await server.steps(session, [1, 2, 3, 4, 5, 6].map((step) => `echo step ${step}`));
  const third = steps[2];
  await server.run(session, "echo second; exit 1");
  const page = await view(at(server, session, `&at=${third.sequence}`));
  await page.locator("#state.is-replay").waitFor();
  await outputs(page, ["step 1", "step 2", "step 3"]);
  await until(async () => /^echo step 1/.test(await page.locator("#jobs-list").textContent()));

  await page.locator("#track").press("ArrowRight");
  await page.locator(".row.output", { hasText: "step 4" }).waitFor();
  await becomes(() => page.evaluate(() => location.hash), `#session=${session}&at=${third.sequence + 1}`);
  await page.locator("#next").click();
  await page.locator(".row.statement", { hasText: "echo second" }).waitFor();
  await outputs(page, ["step 1", "step 2", "step 3", "step 4", "step 5", "step 6"]);

  const box = await page.locator("#track").boundingBox();
  await page.mouse.move(box.x + box.width - 2, box.y + 10);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.1, box.y + 10, { steps: 5 });
  await page.mouse.up();
  await page.locator(".row.statement", { hasText: "echo second" }).waitFor({ state: "detached" });

  await page.locator("#speed").selectOption("2");
  await page.locator("#track").press("Home");
  await page.locator(".row.output").first().waitFor({ state: "detached" });
  const begun = Date.now();
  await page.locator("#play").click();
  await page.locator(".row.output", { hasText: "step 6" }).waitFor();
  const took = Date.now() - begun;
  const pauses = steps.slice(1).map((step, before) => Math.min(step.at - steps[before].at, SHOWN_IDLENESS));
  const least = pauses.reduce((sum, pause) => sum + pause, 0) / 2;
  assert.ok(took > least * 0.9, `${least} ms at twice the speed took ${took} ms`);
  // The replay ends live.
  await page.locator("#state.is-live").waitFor();
  await texts(page, ".row.ending", ["exited with 1"]);
});

test("output is always shown as text", async () => {
  const session = await server.session("hostile");
  const said = [
    "<img src=x onerror='document.title=1'>",
    "<script>document.title=2</script>",
    "&lt;b&gt; </div><style>*{display:none}</style>",
    "javascript:alert(1) https://example.com/",
  ];
  const page = await view(at(server, session));
  await say(page, `cat <<'E'\n${said.join("\n")}\nE\nprintf 'a\\0b\\007\\033]0;title\\007c\\033[9999999Cd\\n\\377\\376\\n'`);
  await finished(page, 1);
  await becomes(async () => (await page.locator(".row.output").allTextContents()).slice(0, 4), said);
  assert.match(await copied(page), /abc +d\n\ufffd\ufffd\n/);
  assert.equal(await page.locator("#screen img, #screen script, #screen style, #screen a").count(), 0);
  assert.notEqual(await page.title(), "1");
  assert.notEqual(await page.title(), "2");
});

test("a hundred thousand lines neither freeze the page nor fill it", async () => {
  const session = await server.session("many");
  const page = await view(at(server, session));
  const longest = await longestTask(page);
  const begun = Date.now();
  await say(page, "seq -f 'line %.0f of very many, each of them as long as a line mostly is' 1 100000");
  await finished(page, 1);
  await page.locator(".row.output", { hasText: "line 100000 of" }).waitFor();
  const took = Date.now() - begun;
  const elements = await page.evaluate(() => document.querySelectorAll("*").length);
  const top = () => page.evaluate(() => document.getElementById("screen").scrollTop);
  await page.locator("#screen").press("Home");
  await page.locator(".row.output", { hasText: /^line 1 of/ }).waitFor();
  // The browser scrolls smoothly: it goes on for a moment.
  await until(async () => (await top()) === 0);
  await page.mouse.move(600, 400);
  for (let turn = 0; turn < 20; turn += 1) await page.mouse.wheel(0, 4_000);
  await until(async () => (await top()) === 80_000);
  await page.locator("#to-end").click();
  await page.locator(".row.output", { hasText: "line 100000 of" }).waitFor();
  const task = await longest();
  console.log(`# 100,000 lines in ${took} ms; ${elements} elements; longest task ${Math.round(task)} ms`);
  assert.ok(elements < 1_000, `${elements} elements`);
  assert.ok(task < 300, `a task of ${task} ms`);
  const text = (await copied(page)).split("\n");
  assert.equal(text.length, 100_002);
  assert.equal(text[54_321], "line 54321 of very many, each of them as long as a line mostly is");
});

test("a running job without a terminal reads its input", async () => {
  const session = await server.session("input");
  const page = await view(at(server, session));
  await server.submit(session, "read name; echo hello $name; cat", { input: true });
  await page.locator("#prompt.is-writing").waitFor();
  await say(page, "anna");
  await page.locator(".row.output", { hasText: "hello anna" }).waitFor();
  await say(page, "and on");
  await outputs(page, ["anna", "hello anna", "and on", "and on"]);
  await page.locator("#statement").press("Control+d");
  await finished(page, 1);
  await outputs(page, ["anna", "hello anna", "and on", "and on"]);
});

test("a command whose response was lost runs once", async () => {
  const session = await server.session("lost");
  const page = await view(at(server, session));
  let asked = 0;
  await page.route("**/jobs", async (route) => {
    asked += 1;
    if (asked > 1) return route.continue();
    await route.fetch();
    await route.abort("connectionreset");
  });
  await say(page, "echo once");
  await finished(page, 1);
  await page.waitForFunction(() => document.getElementById("statement").value === "");
  assert.equal(asked, 2);
  assert.equal((await server.ask("GET", `/sessions/${session}`)).jobs.length, 1);
});

test("what the dialogs say has its place", async () => {
  const page = await view(at(server, await server.session("dora")));
  await page.locator("#state.is-live").waitFor();
  await page.locator("#screen").focus();
  await page.keyboard.press("?");
  await page.locator("#keys dd").first().waitFor();
  const over = await page.locator("#keys dl div").evaluateAll((rows) => {
    const begins = (row) => row.querySelector("dd").getBoundingClientRect().left;
    const ends = (row) => row.querySelector("kbd:last-child").getBoundingClientRect().right;
    return rows.filter((row) => ends(row) > begins(row)).map((row) => row.textContent);
  });
  assert.deepEqual(over, []);
  await shot(page, "dialogs-keys");
  await page.keyboard.press("Escape");
  await page.keyboard.press("e");
  const label = page.locator("#description label", { hasText: "key=value" });
  const head = await label.locator("span").boundingBox();
  assert.ok(head.height < 30, `${head.height} pixels for one line`);
  await shot(page, "dialogs-description");
});

test("jobs fold, scroll into view, and run in the background", async () => {
  const session = await server.session("fold");
  await server.run(session, "seq 1 200");
  const page = await view(at(server, session));
  await finished(page, 1);
  await say(page, "sleep 100");
  await page.locator("#interrupt:not([hidden])").waitFor();
  await say(page, "echo no");
  await page.locator("#choice-text", { hasText: "Still running: sleep 100" }).waitFor();
  await page.locator("#choice-next:focus").waitFor();
  await page.keyboard.press("ArrowRight");
  await page.locator("#choice-beside:focus").waitFor();
  await page.keyboard.press("Enter");
  await finished(page, 3);
  await page.locator("#jobs-list button", { hasText: "seq 1 200" }).click();
  await page.locator(".row.output", { hasText: /^1$/ }).waitFor();
  await page.locator(".row.statement", { hasText: "seq 1 200" }).click();
  await page.locator(".row.statement.is-folded .badge", { hasText: "200 lines" }).waitFor();
  await becomes(() => page.locator(".row.output", { hasText: /^1$/ }).count(), 0);
  await page.locator("#interrupt").click();
  await finished(page, 2);
});

test("closing asks first, and a closed session can be read and replayed", async () => {
  const session = await server.session("closed");
  await server.run(session, "echo last words");
  const page = await view(at(server, session));
  await page.locator("#more").click();
  await page.locator("#close").click();
  await page.locator("#confirm button", { hasText: "Keep it" }).click();
  assert.equal((await server.ask("GET", `/sessions/${session}`)).state, "idle");
  await page.locator("#more").click();
  await page.locator("#close").click();
  await page.locator("#confirm-yes").click();
  await page.locator("#over:not([hidden])").waitFor();
  await page.locator("#state.is-ended").waitFor();
  await page.reload();
  await page.locator(".row.output", { hasText: "last words" }).waitFor();
  await page.locator("#previous").click();
  await page.locator("#state.is-replay").waitFor();
  await page.getByText("Ended", { exact: true }).first().click();
  await page.locator("#sessions a", { hasText: "closed" }).first().waitFor();
});

test("the page asks for a login, goes on after it, and logs out", async () => {
  const guarded = await another({ anna: "correct-horse" });
  const page = await view(guarded.address);
  await logIn(page, "anna", "wrong");
  await page.locator("#login .problem", { hasText: "wrong" }).waitFor();
  await logIn(page, "anna", "correct-horse");
  await page.locator("#account", { hasText: "anna · admin" }).waitFor();
  await page.locator("#create").click();
  await page.locator("#state.is-live").waitFor();
  await say(page, "echo mine");
  await page.locator(".row.output", { hasText: "mine" }).waitFor();
  await page.reload();
  await page.locator(".row.output", { hasText: "mine" }).waitFor();
  await page.locator("#logout").click();
  await page.locator("#login[open]").waitFor();
  // It may be asked for before the page is loaded again.
  await texts(page, ".row.output", []);
});

test("a hidden page closes its connection and later continues at the same place", async () => {
  const session = await server.session("unseen");
  const page = await view("about:blank");
  await page.clock.install();
  await page.goto(at(server, session));
  await page.clock.runFor(500);
  await page.locator("#state.is-live").waitFor();
  let streams = 0;
  page.on("request", (request) => (streams += new URL(request.url()).pathname.endsWith("/stream") ? 1 : 0));
  const cut = page.waitForEvent("requestfailed", (request) => new URL(request.url()).pathname.endsWith("/stream"));
  await see(page, false);
  await page.clock.runFor(11_000);
  await cut;
  await server.run(session, "echo while away");
  assert.equal(streams, 0);
  await see(page, true);
  await page.clock.runFor(500);
  await page.locator(".row.output", { hasText: "while away" }).waitFor();
  assert.equal(streams, 1);
});

test("a phone needs no sideways scrolling, and the theme is remembered", async () => {
  const session = await server.session("phone");
  await server.run(session, "for c in 1 2 3 4 5 6; do printf '\\033[3%sm%s\\033[0m ' $c \"colour $c\"; done; echo; seq -s ' ' 1 60");
  for (const colorScheme of ["dark", "light"]) {
    const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, colorScheme };
    const page = await view(at(server, session), phone);
    await finished(page, 1);
    await shot(page, `phone-${colorScheme}`);
    await isNoWider(page);
    await page.locator("#show-jobs").click();
    await page.locator("#jobs-list button").click();
    await isNoWider(page);
    await page.locator("#back").click();
    await page.locator("#sessions li").first().waitFor();
    await isNoWider(page);
    await shot(page, `phone-list-${colorScheme}`);
    await page.locator("#theme").click();
    const other = colorScheme === "dark" ? "light" : "dark";
    await page.reload();
    await becomes(() => page.evaluate(() => document.documentElement.dataset.theme), other);
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await becomes(ground, other === "light" ? "rgb(255, 255, 255)" : "rgb(15, 18, 21)");
  }
});

test("an unknown session is reported", async () => {
  const page = await view(at(server, "00000000-0000-4000-8000-000000000000"));
  await page.getByText("There is no such session").waitFor();
  await unseen(page, ["#prompt"]);
});

test("an address that names no session is reported", async () => {
  for (const said of ["..", ".", "a/b", "%2e%2e", "?", " "]) {
    const page = await view(`${server.address}/#session=${encodeURIComponent(said)}`);
    await page.getByText("There is no such session").waitFor();
    await becomes(() => page.locator("#name").textContent(), "Session not found");
    await becomes(() => page.locator("#about").textContent(), said);
  }
});

test("an empty list says whose sessions it shows", async () => {
  const guarded = await another({ anna: "correct-horse", olga: "battery-staple:viewer" });
  for (const [name, password, text] of [
    ["anna", "correct-horse", "No sessions yet."],
    ["olga", "battery-staple", "No sessions of yours yet. A session of somebody else appears here once you have opened its link."],
  ]) {
    const page = await view(guarded.address);
    await logIn(page, name, password);
    await page.locator("#sessions .empty", { hasText: text }).waitFor();
    await page.locator("#states label", { hasText: "Running" }).click();
    await page.locator("#sessions .empty", { hasText: "No running sessions." }).waitFor();
  }
  const anna = { authorization: `Basic ${btoa("anna:correct-horse")}`, "content-type": "application/json" };
  const created = await fetch(`${guarded.address}/sessions`, { method: "POST", headers: anna, body: "{}" });
  const { id } = await created.json();
  const page = await view(guarded.address);
  await logIn(page, "olga", "battery-staple");
  await page.locator("#sessions .empty", { hasText: "No sessions of yours yet." }).waitFor();
  await page.goto(at(guarded, id));
  await page.locator("#sessions li", { hasText: "anna" }).waitFor();
  await page.locator("#filter").fill("nothing like it");
  await page.locator("#sessions .empty", { hasText: "No sessions match the filter." }).waitFor();
});

test("everything can be reached by keys, which are listed", async () => {
  const page = await view(server.address);
  await page.locator("#sessions li").first().waitFor();
  await page.keyboard.press("]");
  await page.locator("#state.is-live, #state.is-ended").waitFor();
  await page.keyboard.press("?");
  await page.locator("#keys[open] kbd").first().waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#keys").waitFor({ state: "hidden" });
  await page.keyboard.press("n");
  await page.locator("#statement:focus").waitFor();
  await page.locator("#state.is-live").waitFor();
  await shot(page, "empty");
  await page.keyboard.type("n");
  await becomes(() => page.locator("#statement").inputValue(), "n");
  await page.keyboard.press("Escape");
  await page.locator("#screen:focus").waitFor();
  await page.keyboard.press("/");
  await page.locator("#statement:focus").waitFor();
});

/**
 * Begins to measure the tasks of a page, and gives what ends that: it says how many milliseconds of the
 * processor the longest of them took. Others may use the processor at the same time.
 */
async function longestTask(page) {
  const browser = page.context().browser();
  await browser.startTracing(page, { categories: ["toplevel"] });
  return async () => {
    const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
    const mains = traceEvents.filter((it) => it.name === "thread_name" && it.args.name === "CrRendererMain");
    const threads = new Set(mains.map(({ pid, tid }) => `${pid} ${tid}`));
    const tasks = traceEvents.filter(({ name, pid, tid }) => name.endsWith("RunTask") && threads.has(`${pid} ${tid}`));
    assert.ok(tasks.length > 0, "tasks were measured");
    return Math.max(...tasks.map((it) => it.tdur ?? 0)) / 1_000;
  };
}
