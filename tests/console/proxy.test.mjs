// The console below a path of another host: a real nginx in front of the server.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { Proxy } from "./nginx.mjs";
import { becomes, keysGoToTerminal, logIn, outputs, say, sessionOf, texts, unseen, until } from "./page.mjs";
import { stage } from "./server.mjs";

const trusting = { REJOIN_TRUSTED_PROXIES: "127.0.0.1", ENV: "", PS1: "$ " };
const { server, view } = stage(trusting, { anna: "correct-horse" });

/** nginx in front of the server; it starts with the first test that needs it. */
let started = null;
const proxied = () => (started ??= Proxy.start(server.address));
after(async () => (await started)?.stop());

test("below a path, the console logs in, runs a command in a terminal, reloads and downloads", async () => {
  const proxy = await proxied();
  const page = await view(`${proxy.address}/rejoin/`);
  await logIn(page, "anna", "correct-horse");
  await page.locator("#account", { hasText: "anna · admin" }).waitFor();
  const [cookie] = await page.context().cookies();
  assert.equal(cookie.path, "/rejoin");

  await page.locator("#create-shell").click();
  await keysGoToTerminal(page);
  await page.keyboard.type("echo $((6 * 7)) below a path\n");
  await page.keyboard.type("exit\n");
  await page.locator(".row.output", { hasText: /^42 below a path/ }).waitFor();

  assert.equal(new URL(page.url()).pathname, "/rejoin/");
  await page.reload();
  await page.locator(".row.output", { hasText: /^42 below a path/ }).waitFor();
  const session = sessionOf(page);
  await page.locator("#more").click();
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#download-records").click()]);
  assert.equal(download.suggestedFilename(), `rejoin-${session}.jsonl`);
  const lines = readFileSync(await download.path(), "utf8").trim().split("\n").map((line) => JSON.parse(line));
  assert.equal(lines[0].event, "session-created");
  assert.equal(lines.map((line) => line.sequence).join(), lines.map((_, index) => index + 1).join());

  const lost = await page.context().newPage();
  const answer = await lost.goto(`${proxy.address}/rejoin/no/such/page`);
  assert.equal(answer.status(), 404);
  await lost.getByText("Open the console").click();
  await lost.locator("#account", { hasText: "anna" }).waitFor();
  await becomes(() => new URL(lost.url()).pathname, "/rejoin/");
});

test("below a path, a link is made, watched by, and ends", async () => {
  const proxy = await proxied();
  const owner = await view(`${proxy.address}/rejoin/`);
  await logIn(owner, "anna", "correct-horse");
  await owner.locator("#create").click();
  await owner.locator("#state.is-live").waitFor();
  await say(owner, "echo needle");
  await outputs(owner, ["needle"]);
  await owner.locator("#share").click();
  await owner.locator("#sharing-add").click();
  let link = "";
  await until(async () => (link = await owner.locator("#sharing-new").inputValue()) !== "");
  assert.ok(link.startsWith(`${proxy.address}/rejoin/#session=`), link);
  await becomes(() => owner.evaluate(() => navigator.clipboard.readText()), link);

  const watcher = await view("about:blank");
  const asked = [];
  watcher.on("request", (request) => asked.push(new URL(request.url()).pathname));
  await watcher.goto(link);
  await outputs(watcher, ["needle"]);
  await watcher.locator("#over", { hasText: "You watch by a link" }).waitFor();
  await unseen(watcher, ["#prompt", ".sidebar", "#login"]);
  assert.ok(asked.every((path) => path.startsWith("/rejoin/")), asked.join(" "));
  await owner.keyboard.press("Escape");
  await say(owner, "echo live");
  await outputs(watcher, ["needle", "live"]);

  await owner.locator("#share").click();
  await owner.locator("#sharing-list button").click();
  await texts(owner, "#sharing-list li", []);
  await watcher.locator("#name", { hasText: "This link has ended" }).waitFor();
  const late = await view(link);
  await late.locator("#name", { hasText: "This link has ended" }).waitFor();
});
