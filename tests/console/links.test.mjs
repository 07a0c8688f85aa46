// Links to a session: made, used, listed and removed, in a real browser against a real server.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { becomes, logIn, outputs, say, shot, texts, unseen, until } from "./page.mjs";
import { at, stage } from "./server.mjs";

const { server, view, another } = stage();

test("a link made in one window shows the session, live, in a window that has no account", async () => {
  const guarded = await another({ ada: "secret" });
  const owner = await view(guarded.address);
  await logIn(owner, "ada", "secret");
  await owner.locator("#create").click();
  await say(owner, "echo needle");
  await outputs(owner, ["needle"]);
  await owner.locator("#share").click();
  await owner.locator("#sharing-unreached", { hasText: "this machine alone" }).waitFor();
  await owner.locator("#sharing-time").selectOption("8h");
  await owner.locator("#sharing-add").click();
  const link = await made(owner);
  assert.match(link, /^http:\/\/127\.0\.0\.1:\d+\/#session=1&link=rejoin_link_\w{32}$/);
  await becomes(() => owner.evaluate(() => navigator.clipboard.readText()), link);
  await owner.locator("#sharing-list li", { hasText: /by ada · ends in 8 h/ }).waitFor();
  await shot(owner, "links-sharing");

  const watcher = await view(link);
  await outputs(watcher, ["needle"]);
  await watcher.locator("#over", { hasText: "You watch by a link" }).waitFor();
  await unseen(watcher, ["#prompt", ".sidebar", "#back", "#raw", "#login", "#viewers"]);
  await shot(watcher, "links-watching");
  const recording = await downloaded(watcher);
  assert.equal(recording.name, "rejoin-1.cast");
  assert.match(recording.text, /^\{.*"title":"Rejoin, session 1","version":2.*\}\n\[/);
  assert.match(recording.text, /"o", "needle\\r\\n"\]/);
  await unseen(watcher, ["#download-records"]);
  const own = await downloaded(owner);
  assert.deepEqual(own, { name: "rejoin-session-1.cast", text: recording.text });
  const asked = [];
  watcher.on("request", (request) => asked.push(new URL(request.url()).pathname));
  await watcher.reload();
  await outputs(watcher, ["needle"]);
  const api = asked.filter((path) => !path.startsWith("/console/") && path !== "/");
  assert.ok(api.length > 0 && api.every((path) => path.startsWith("/sessions/1")), api.join(" "));

  // A terminal that runs is seen, too, and takes no keys.
  await owner.keyboard.press("Escape");
  await say(owner, "read line; echo got $line");
  await owner.locator("#inline:not([hidden])").waitFor();
  const frame = watcher.frameLocator("#inline iframe");
  await frame.locator("#control", { hasText: "You watch" }).waitFor();
  await shot(watcher, "links-terminal");

  await owner.locator("#share").click();
  await owner.locator("#sharing-list button").click();
  await texts(owner, "#sharing-list li", []);
  await watcher.locator("#name", { hasText: "This link has ended" }).waitFor();
  await unseen(watcher, ["#login"]);
  await shot(watcher, "links-ended");
});

test("who may not share a session is offered its address alone", async () => {
  const guarded = await another({ ada: "secret", vic: "secret:viewer" });
  const owner = await view(guarded.address);
  await logIn(owner, "ada", "secret");
  await owner.locator("#create").click();
  await say(owner, "true");
  await until(() => new URL(owner.url()).hash !== "");
  const viewer = await view(owner.url());
  await logIn(viewer, "vic", "secret");
  await viewer.locator("#account", { hasText: "vic · viewer" }).waitFor();
  await viewer.locator("#name", { hasText: "#1" }).waitFor();
  await viewer.locator("#share").click();
  await viewer.locator("#sharing-copy").waitFor();
  await unseen(viewer, ["#sharing-links"]);
  await viewer.locator("#sharing-copy").click();
  await becomes(() => viewer.evaluate(() => navigator.clipboard.readText()), viewer.url());
});

test("a link's page says that it shows one session alone, when its address leads to another", async () => {
  const guarded = await another({ ada: "secret" });
  const owner = await view(guarded.address);
  await logIn(owner, "ada", "secret");
  await owner.locator("#create").click();
  await say(owner, "echo needle");
  await outputs(owner, ["needle"]);
  await owner.locator("#share").click();
  await owner.locator("#sharing-add").click();
  const watcher = await view(await made(owner));
  await outputs(watcher, ["needle"]);
  const link = new URLSearchParams(new URL(watcher.url()).hash.slice(1)).get("link");
  await watcher.evaluate(() => (location.hash = "#session=38"));
  for (const isAgain of [false, true]) {
    if (isAgain) await watcher.reload();
    await watcher.locator("#name", { hasText: "Not the session of this link" }).waitFor();
    await watcher.locator("#blank-text", { hasText: "one session alone" }).waitFor();
    await unseen(watcher, ["#prompt", ".sidebar", "#login", "#welcome", "#open-shell", "#over"]);
  }
  await shot(watcher, "links-other");
  await watcher.evaluate((hash) => (location.hash = hash), `#session=1&link=${link}`);
  await outputs(watcher, ["needle"]);
});

test("the console says so when a link has ended before it is opened", async () => {
  const session = await server.session("tim");
  const page = await view(at(server, session, "&link=rejoin_link_none"));
  await page.locator("#name", { hasText: "This link has ended" }).waitFor();
  await page.locator("#blank-text", { hasText: "Ask for a new one" }).waitFor();
});

/** The recording that the menu of a page downloads: its file's name, and its text. */
async function downloaded(page) {
  await page.keyboard.press("Escape");
  await page.locator("#more").click();
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#download-recording").click()]);
  const text = await readFile(await download.path(), "utf8");
  return { name: download.suggestedFilename(), text };
}

/** The link that was just made. */
async function made(page) {
  const field = page.locator("#sharing-new");
  await field.waitFor();
  return field.inputValue();
}
