// What the console shows to those who read, in a real browser: the time line, states, wrapped lines, the
// ring of the focus, all widths; and what accounts of each role see.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Recording } from "../../frontends/console/assets/recording.js";
import { becomes, copied, finished, isNoWider, logIn, say, sessionOf, shot, texts, unseen, until } from "./page.mjs";
import { at, stage } from "./server.mjs";

const { server, view, another } = stage();

test("the time line grows while a quiet command runs, and says what is under the pointer", async () => {
  const session = await server.session("quiet");
  await server.run(session, "echo first; sleep 0.5");
  await server.submit(session, "sleep 1000");
  const page = await view(at(server, session));
  await page.locator("#interrupt").waitFor();
  const share = () => page.evaluate(widthOfFirstBar);
  // The button can be there before the bars are drawn.
  await until(async () => (await share()) > 0.02);
  const before = await share();
  await until(async () => (await share()) < before * 0.97);
  const { x, y, width, height } = await page.locator("#track").boundingBox();
  // The bars move to the left meanwhile, and the pointer follows them.
  const shows = (of, text) =>
    until(async () => {
      await page.mouse.move(x + width * (await of()), y + height / 2);
      return (await page.locator("#tip").textContent()).includes(text);
    });
  await shows(async () => (1 + (await share())) / 2, "sleep 1000 · running");
  await shows(async () => (await share()) / 2, "echo first; sleep 0.5 · completed");
  await page.locator("#tip b", { hasText: /^\d\d:\d\d:\d\d$/ }).waitFor();
  await shot(page, "reading-pointer");
  await page.mouse.move(x + 2, y - 200);
  await page.locator("#tip").waitFor({ state: "hidden" });
});

test("the thumb is where a link says, also while a command runs", async () => {
  const session = await server.session("thumb");
  const [, second] = await server.steps(session, [1, 2, 3, 4].map((step) => `echo step ${step}; sleep 0.4`));
  const { events } = await server.ask("GET", `/sessions/${session}/events`);
  const page = await view(at(server, session, `&at=${second.sequence}`));
  await page.locator("#state.is-replay").waitFor();
  const left = () => page.evaluate(() => Number.parseFloat(document.querySelector(".thumb").style.left));
  const expected = (shownTime(events.filter(({ sequence }) => sequence <= second.sequence)) / shownTime(events)) * 100;
  assert.ok(expected > 2 && expected < 98, `${expected}`);
  await until(async () => Math.abs((await left()) - expected) < 1);
  const moment = () => page.locator("#moment").textContent();
  await until(async () => (await moment()) !== "");
  const said = await moment();
  await page.reload();
  await until(async () => Math.abs((await left()) - expected) < 1);
  await becomes(moment, said);
  // A link to a line shows the present: so does the thumb.
  const line = await view(at(server, session, `&line=${second.sequence}`));
  await line.locator(".row.is-found", { hasText: "step 2" }).waitFor();
  await becomes(() => line.evaluate(() => document.querySelector(".thumb").style.left), "100%");
  // While a command runs, the line grows, and the moment moves to the left in it.
  await server.submit(session, "sleep 1000");
  await until(async () => (await left()) < expected * 0.8);
  await becomes(moment, said);
});

test("a button leads to the end only while that is out of sight, and one line is one", async () => {
  const session = await server.session("end");
  await server.run(session, "echo one");
  const page = await view(at(server, session));
  await finished(page, 1);
  await page.locator("#jobs-list button").click();
  await page.locator("#screen:focus").waitFor();
  await page.locator(".row.statement .text").click();
  await page.locator(".badge", { hasText: "1 line · exit 0" }).waitFor();
  await page.locator(".row.statement .text").click();
  await page.locator(".row.output", { hasText: "one" }).waitFor();
  await unseen(page, ["#to-end"]);
  await say(page, "seq 1 500");
  await finished(page, 2);
  await page.locator(".row.output", { hasText: /^500$/ }).waitFor();
  await unseen(page, ["#to-end"]);
  await page.locator("#screen").press("Home");
  // The browser scrolls smoothly: not before it is there.
  await page.locator(".row.output", { hasText: /^1$/ }).waitFor();
  await page.waitForFunction(() => document.getElementById("screen").scrollTop < 20);
  await page.locator("#to-end").click();
  await page.locator(".row.output", { hasText: /^500$/ }).waitFor();
  await page.locator("#to-end").waitFor({ state: "hidden" });
});

test("long lines are wrapped between words, and copied as they are", async () => {
  const session = await server.session("words");
  const sentence = Array.from({ length: 60 }, (_, word) => `word${word}`).join(" ");
  const page = await view(at(server, session));
  await say(page, `echo ${sentence}; printf 'x%.0s' $(seq 1 300)`);
  await finished(page, 1);
  await page.locator(".row.output", { hasText: "word59" }).waitFor();
  const rows = () => page.locator(".row.output", { hasText: "word" }).allTextContents();
  await becomes(async () => (await rows()).join(""), sentence);
  await until(async () => (await rows()).length > 2);
  for (const row of await rows()) assert.match(row, /^(word\d+ )*word\d+ ?$/);
  assert.ok((await copied(page)).includes(`\n${sentence}\n${"x".repeat(300)}\n`));
});

test("states have forms and names, not colours alone", async () => {
  const fine = await server.session("fine");
  await server.run(fine, "true");
  const failed = await server.session("failed");
  await server.run(failed, "exit 9");
  const ended = await server.session("ended");
  await server.ask("DELETE", `/sessions/${ended}`);
  const running = await server.session("running");
  await server.run(running, "true");
  await server.run(running, "exit 4");
  const { job } = await server.submit(running, "sleep 1000");
  await server.ask("POST", `/sessions/${running}/jobs/${job}/interrupt`);
  await server.submit(running, "sleep 1000", { background: true });
  const page = await view(at(server, running));
  const form = async (name) => {
    const dot = page.locator("#sessions li", { hasText: ` ${name}` }).locator(".dot svg");
    return [await dot.getAttribute("aria-label"), await dot.locator("use").getAttribute("href")];
  };
  await page.locator("#sessions .who", { hasText: " fine" }).waitFor();
  await becomes(() => form("fine"), ["idle", "#icon-idle"]);
  await becomes(() => form("failed"), ["idle, last command failed", "#icon-failed"]);
  await becomes(() => form("ended"), ["ended", "#icon-ended"]);
  const badges = () =>
    page.locator("#jobs-list .badge svg").evaluateAll((all) => all.map((it) => it.getAttribute("aria-label")));
  await becomes(badges, ["running", "interrupted", "failed", "completed"]);
  const forms = () => page.locator("#jobs-list .badge use").evaluateAll((all) => all.map((it) => it.getAttribute("href")));
  await becomes(async () => new Set(await forms()).size, 4);
  await page.locator("#jobs-list .badge", { hasText: /^interrupted · / }).waitFor();
  await shot(page, "reading-states");
});

test("the ring of the focus is whole on everything that has one", async () => {
  const session = await server.session("ring");
  await server.run(session, "seq 1 3");
  await server.submit(session, "sleep 1000");
  for (const width of [1280, 375]) {
    const page = await view(at(server, session), { viewport: { width, height: 800 } });
    await page.locator("#interrupt").waitFor();
    // All that is asked for is there, so that nothing comes in between.
    await page.locator("#sessions a[aria-current]").waitFor({ state: "attached" });
    await page.locator("#viewers[aria-label]").waitFor({ state: "attached" });
    await becomes(() => page.locator("#jobs-list li").count(), 2);
    const seen = new Set();
    for (let step = 0; step < 60; step += 1) {
      await page.keyboard.press("Tab");
      const { name } = await page.evaluate(cutOfRing);
      if (name === null) break;
      // What gets the focus may have to be scrolled into sight.
      await becomes(() => page.evaluate(cutOfRing), { name, cut: [] }, `the ring of ${name} at ${width} px`);
      seen.add(name);
    }
    for (const name of ["#share", "#track", "#screen", "#statement"]) assert.ok(seen.has(name), `${name} of ${[...seen]}`);
  }
});

test("the focus stays where it is while a command runs and its time is drawn", async () => {
  const session = await server.session("focus");
  await server.submit(session, "sleep 1000");
  const page = await view(at(server, session));
  const row = page.locator(".row.statement");
  await row.locator(".mark").focus();
  const shown = await row.locator(".badge").textContent();
  await until(async () => (await row.locator(".badge").textContent()) !== shown);
  await row.locator(".mark:focus").waitFor();
});

test("nothing is cut off or needs sideways scrolling on a phone, a tablet and a desktop", async () => {
  const session = await server.session("widths");
  await server.run(session, "cd /usr/share; seq 1 3");
  await server.submit(session, "sleep 1000");
  for (const [width, height] of [[1280, 800], [1024, 768], [768, 1024], [375, 720], [320, 640]]) {
    const page = await view(at(server, session), { viewport: { width, height } });
    await page.locator("#interrupt").waitFor();
    await say(page, "echo next");
    await page.locator("#choice-next:focus").waitFor();
    await isNoWider(page);
    await becomes(() => page.evaluate(cutOff), [], `${width} px`);
    await page.locator("#choice-next").click();
    await page.locator("#queue li").waitFor();
    await becomes(() => page.evaluate(cutOff), [], `${width} px`);
    await shot(page, `reading-width-${width}`);
  }
});

test("a browser gets a page of ours where the server has nothing", async () => {
  const page = await view("about:blank");
  const response = await page.goto(`${server.address}/sessions-typo`);
  assert.equal(response.status(), 404);
  await page.getByRole("heading", { name: "There is no page here" }).waitFor();
  await shot(page, "reading-not-found");
  await page.getByRole("link", { name: "Open the console" }).click();
  await page.locator("#sessions").waitFor();
});

test("each role sees what it may do, and what its list has in it", async () => {
  const accounts = { anna: "correct-horse", otto: "battery-staple:operator", victor: "paper-clip-7:viewer" };
  const guarded = await another(accounts);
  const anna = await view(guarded.address);
  await logIn(anna, "anna", "correct-horse");
  await anna.locator("#account", { hasText: "anna · admin" }).waitFor();
  await unseen(anna, ["#sessions-title"]);
  await anna.locator("#create").click();
  await anna.locator("#state.is-live").waitFor();
  await say(anna, "echo of anna");
  await finished(anna, 1);
  const shared = at(guarded, sessionOf(anna));

  const otto = await view(shared);
  await logIn(otto, "otto", "battery-staple");
  await otto.locator("#account", { hasText: "otto · operator" }).waitFor();
  await otto.locator("#sessions-title", { hasText: "Your sessions, and those you have opened" }).waitFor();
  await otto.locator("#prompt").waitFor();
  await otto.locator("#more").click();
  await otto.locator("#describe").waitFor();
  // Only its creator or an admin may close a session.
  await unseen(otto, ["#close"]);
  await otto.keyboard.press("Escape");
  await otto.locator("#create").click();
  await otto.locator("#statement:focus").waitFor();
  await otto.locator("#more").click();
  await otto.locator("#close").waitFor();

  const victor = await view(shared);
  await logIn(victor, "victor", "paper-clip-7");
  await victor.locator("#account", { hasText: "victor · viewer" }).waitFor();
  await victor.locator("#sessions-title", { hasText: "Sessions that you have opened" }).waitFor();
  await victor.locator(".row.output", { hasText: "of anna" }).waitFor();
  await victor.locator("#over", { hasText: "the role viewer" }).waitFor();
  await say(anna, "echo begun; sleep 1000");
  await victor.locator("#jobs-list .badge.is-running").waitFor();
  await unseen(victor, ["#create", "#create-shell", "#prompt", "#interrupt"]);
  await victor.locator("#more").click();
  await victor.locator("#copy").waitFor();
  await unseen(victor, ["#describe", "#close"]);
  await victor.keyboard.press("Escape");
  await victor.locator("#screen").focus();
  await victor.keyboard.press("n");
  await victor.keyboard.press("Control+c");
  await victor.keyboard.press("?");
  await victor.locator("#keys[open]").waitFor();
  await victor.locator("#keys dd", { hasText: "search all of the output" }).waitFor();
  assert.equal(await victor.locator("#keys dd", { hasText: "run the command" }).count(), 0);
  await victor.keyboard.press("Escape");
  await victor.locator("#keys").waitFor({ state: "hidden" });
  assert.equal(victor.url(), shared);
  for (const [name, page] of Object.entries({ anna, otto, victor })) await shot(page, `reading-role-${name}`);
  await victor.getByRole("button", { name: "Log out" }).click();
  await victor.locator("#login[open]").waitFor();
});

/** Milliseconds from the first to the last of these events, as a replay shows them. */
function shownTime(events) {
  const recording = new Recording();
  for (const event of events) recording.add(event);
  return recording.length(false);
}

/** In the page: which share of the time line is before the bar of what runs. */
function widthOfFirstBar() {
  const canvas = document.querySelector("#track canvas");
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, Math.floor(height / 2), width, 1);
  const probe = document.createElement("i");
  probe.style.color = "var(--accent)";
  document.body.append(probe);
  const running = getComputedStyle(probe).color.match(/\d+/g).map(Number);
  probe.remove();
  const isRunning = (at) => running.every((value, part) => Math.abs(data[at * 4 + part] - value) < 3);
  for (let at = 0; at < width; at += 1) if (isRunning(at)) return at / width;
  return 0;
}

/** In the page: the element that has the focus, and the sides on which its ring is cut. */
function cutOfRing() {
  const element = document.activeElement;
  if (element === document.body) return { name: null, cut: [] };
  const drawn = element.closest(".choices label")?.querySelector("span") ?? element;
  // The ring of the output is drawn above its rows.
  const style = element.id === "screen" ? getComputedStyle(element.parentElement, "::after") : getComputedStyle(drawn);
  if (style.outlineStyle !== "solid" && !element.matches(".field *, .search *")) return { name: element.id, cut: ["all"] };
  const ring = style.outlineStyle === "none" ? 0 : Number.parseFloat(style.outlineWidth) + Number.parseFloat(style.outlineOffset);
  const box = drawn.getBoundingClientRect();
  const sides = { left: box.left - ring, top: box.top - ring, right: box.right + ring, bottom: box.bottom + ring };
  const rooms = [{ left: 0, top: 0, right: innerWidth, bottom: innerHeight }];
  for (let above = drawn.parentElement; above; above = above.parentElement) {
    if (getComputedStyle(above).overflow !== "visible") rooms.push(above.getBoundingClientRect());
  }
  const cut = [];
  for (const room of rooms) {
    if (sides.left < room.left - 0.5) cut.push("left");
    if (sides.top < room.top - 0.5) cut.push("top");
    if (sides.right > room.right + 0.5) cut.push("right");
    if (sides.bottom > room.bottom + 0.5) cut.push("bottom");
  }
  return { name: element.id ? `#${element.id}` : element.textContent.trim().slice(0, 30) || element.tagName, cut };
}

/** In the page: buttons and fields that are partly outside of the window. */
function cutOff() {
  const elements = [...document.querySelectorAll("button, a, input, select, textarea, .directory, .moment")];
  const shown = elements.filter((it) => it.checkVisibility({ visibilityProperty: true }) && !it.closest(".unseen, iframe, .sessions, .jobs, .rows"));
  const isOut = ({ left, right, bottom }) => left < -0.5 || right > innerWidth + 0.5 || bottom > innerHeight + 0.5;
  return shown.filter((it) => isOut(it.getBoundingClientRect())).map((it) => it.id || it.textContent.trim());
}
