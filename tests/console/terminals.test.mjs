// Terminals in a real browser: those who type, those who watch, and those who come late.
//
// With `SHOTS=folder` it leaves pictures of what it saw.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import {
  PATIENCE, becomes, finished, isNoWider, keysGoToTerminal, logIn, outputs, same, say, says, screen, sessionOf, shot, texts, typed, until,
} from "./page.mjs";
import { Server, at, launch, open } from "./server.mjs";

let server;
let browser;
let pages = [];

before(async () => {
  server = await Server.start({ ENV: "", PS1: "$ ", VIMINIT: "set nocompatible ruler", LESS: "" });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

afterEach(async () => {
  for (const page of pages) {
    assert.deepEqual(page.wrongs, [], "nothing went wrong in a window");
    for (const frame of page.frames()) {
      assert.deepEqual(await frame.evaluate(() => window.violations ?? []), [], "no policy was violated");
    }
    await page.context().close();
  }
  pages = [];
});

test("a shell is one click away, is typed into, and becomes text when it ends", { timeout: 180_000 }, async () => {
  const page = await view(server.address);
  await page.locator("#create-shell").click();
  const terminal = await keysGoToTerminal(page);
  assert.equal(await page.locator("#prompt").isVisible(), false);
  // It begins with 80 columns and gets the size of the window.
  await terminal.locator("#size", { hasNotText: "80×24" }).waitFor();
  const [columns, rows] = (await terminal.locator("#size").textContent()).split("×");
  await typed(page, "test -t 0 && test -t 1 && echo a terminal of $(stty size)\n", new RegExp(`a terminal of ${rows} ${columns}$`, "m"));
  // The console and the terminal in it are one window.
  const session = new URLSearchParams(new URL(page.url()).hash.slice(1)).get("session");
  assert.equal((await server.ask("GET", `/sessions/${session}/viewers`)).count, 1);
  await page.locator("#viewers[aria-label='1 viewer']").waitFor();
  await shot(page, "shell");
  await page.keyboard.type("exit\n");
  await page.locator(".row.output", { hasText: /^a terminal of/ }).waitFor();
  await page.locator("#inline").waitFor({ state: "hidden" });
  await page.locator("#statement:focus").waitFor();
  await page.locator(".row.statement", { hasText: /^\$shellexit 0/ }).waitFor();
});

test("a command of the prompt has a terminal, too, and what it showed stays", { timeout: 180_000 }, async () => {
  const page = await view(at(server, await server.session("prompt")));
  await say(page, "test -t 1 && printf '\\033[32mgreen\\033[0m\\n'; printf '😀\\bX|\\n日本語日本語\\rab|\\n'; tput cols");
  await finished(page, 1);
  await texts(page, ".row.output .c2", ["green"]);
  const lines = async () => page.locator(".row.output").allTextContents();
  // The bar takes half of a wide character, so the other half is empty.
  await becomes(async () => (await lines()).slice(0, 3), ["green", " X|", "ab| 語日本語"]);
  assert.ok(Number((await lines())[3]) > 60);

  await say(page, "printf 'Your name: '; read name; for i in 1 2 3 4 5; do printf '\\r%d of 5' $i; sleep 0.1; done; echo; echo hello $name");
  await says(page, /Your name:/);
  await keysGoToTerminal(page);
  // Only as high as its content.
  await until(async () => ((height) => height > 20 && height < 120)((await page.locator("#inline").boundingBox()).height));
  await shot(page, "inline");
  await page.keyboard.type("anna\n");
  await finished(page, 2);
  await becomes(async () => (await lines()).slice(-3), ["Your name: anna", "5 of 5", "hello anna"]);
  await page.locator("#statement:focus").waitFor();

  await say(page, "echo long; sleep 100");
  await says(page, /long/);
  await keysGoToTerminal(page);
  await page.keyboard.press("Control+c");
  await page.locator(".row.ending").waitFor();
});

test("full-screen programs look the same to who was there and to who comes late", { timeout: 180_000 }, async () => {
  const { page, session, job } = await shell();
  await typed(page, "PS1='ready> '; clear\n", /^ready>$/m);
  const programs = [
    ["vi -c 'set nomore' numbers.txt", /line 10 of/, ":q!\n"],
    ["top -d 600", /PID USER/, "q"],
    ["less numbers.txt", /^numbers.txt$/m, "q"],
    ["python3 -q", /^>>>$/m, "exit()\n"],
    ["printf '\\033[2J\\033[5;10Habsolute\\0337\\033[1;1Htop\\0338 again\\033[7;1Habcdef\\033[7;1H\\033[2P\\033[8;1H\\033[31;44mcolour\\033[0m'; read x", /absolute again/, "\n"],
  ];
  const lines = Array.from({ length: 300 }, (_, line) => `line ${line + 1} of numbers`).join("\n");
  await server.run(session, `cat > numbers.txt <<'E'\n${lines}\nE`, { background: true });
  for (const [command, shows, leave] of programs) {
    await typed(page, `cd ${server.directory}; clear; ${command}\n`, shows);
    const late = await view(terminalAt(session, job), { viewport: { width: 900, height: 500 } });
    await same(late, page, shows, command);
    await shot(page, `program-${command.split(" ")[0]}`);
    await shot(late, `program-${command.split(" ")[0]}-late`);
    await late.context().close();
    pages = pages.filter((it) => it !== late);
    await page.keyboard.type(leave);
    await says(page, /^ready>$/m);
  }
});

test("who types sets the size; who watches sees all of it, and may take control", { timeout: 180_000 }, async () => {
  const { page, session, job } = await shell({ viewport: { width: 1100, height: 700 } });
  const { columns, rows } = await sizeOf(page);
  const other = await view(terminalAt(session, job), { viewport: { width: 600, height: 420 } });
  await other.getByText("You watch; another window types.").waitFor();
  await says(other, new RegExp(`^${rows} ${columns}$`, "m"));
  for (const window of [page, other]) {
    await window.locator("#viewers-count", { hasText: /^2 viewers$/ }).waitFor();
  }
  await becomes(async () => (await screen(other)).length, rows);
  await until(async () => (({ width, height }) => width <= 600 && height <= 420)(await other.locator(".xterm-screen").boundingBox()));
  await other.locator(".xterm-screen").click();
  await other.keyboard.type("echo not heard\n");
  await other.setViewportSize({ width: 500, height: 400 });
  await typed(page, "clear; stty size\n", new RegExp(`^${rows} ${columns}$`, "m"));
  const { events } = await server.ask("GET", `/sessions/${session}/events`);
  assert.doesNotMatch(JSON.stringify(events), /heard/);
  await shot(other, "watching");

  await other.getByRole("button", { name: "Take control" }).click();
  await other.getByText("You type here.").waitFor();
  await page.getByText("You watch; another window types.").waitFor();
  await other.waitForFunction((size) => document.getElementById("size").textContent !== size, `${columns}×${rows}`);
  const smaller = await sizeOf(other);
  assert.ok(smaller.columns < columns && smaller.rows < rows, `${JSON.stringify(smaller)} is smaller`);
  await same(page, other, new RegExp(`^${smaller.rows} ${smaller.columns}$`, "m"));
  await shot(page, "watching-a-smaller-one");

  // A window that is closed gives control back, and the next who types has it.
  await other.goto("about:blank");
  await page.getByText("Nobody types here: type to begin.").waitFor();
  await typed(page, "clear; echo mine again\n", /^mine again$/m);
  await page.getByText("You type here.").waitFor();
  await page.waitForFunction((size) => document.getElementById("size").textContent === size, `${columns}×${rows}`);
});

test("an editor goes on through a reload, and through the server's death", { timeout: 180_000 }, async () => {
  const { page, session, job } = await shell();
  const file = join(server.directory, "poem.txt");
  await typed(page, `clear; vi ${file}\n`, /^~$/m);
  await typed(page, "iRoses are red", /^Roses are red\n[^]*-- INSERT -- +1,14 /m);
  const before = await screen(page);
  await page.reload();
  await page.getByText("You type here.").waitFor();
  await becomes(() => screen(page), before);
  await typed(page, ",", /red,$/m);
  await server.kill();
  await page.locator("#state.is-reconnecting").waitFor();
  await server.restart();
  await page.locator("#state.is-live").waitFor();
  // After Escape, the last line no longer says that one inserts.
  const shown = /^violets are blue\n(?![^]*INSERT)[^]* 2,16 /m;
  await typed(page, "\nviolets are blue\x1b", shown);
  const late = await view(terminalAt(session, job));
  await same(late, page, shown);
  await shot(page, "after-a-crash");
  await page.keyboard.type(":wq\n");
  await until(() => existsSync(file) && readFileSync(file, "utf8") === "Roses are red,\nviolets are blue\n");
});

test("a password is not shown, and is not in the log", { timeout: 180_000 }, async () => {
  const { page, session } = await shell();
  await typed(page, "clear; stty -echo; printf 'Password: '; read word; stty echo; echo; echo ${#word} letters\n", /^Password:$/m);
  await page.keyboard.type("tr0ub4dor\n");
  await says(page, /^9 letters$/m);
  const { events } = await server.ask("GET", `/sessions/${session}/events?after=0&limit=10000`);
  assert.doesNotMatch(JSON.stringify(events), /tr0ub4dor/);
  assert.ok(events.some((event) => event.type === "input-hidden"));
  const typedIn = events.filter((event) => event.type === "input").map((event) => event.content ?? "").join("");
  assert.doesNotMatch(typedIn, /tr0ub|dor/);
});

test("text is selected, copied and pasted, and links open apart from the page", { timeout: 180_000 }, async () => {
  const { page } = await shell();
  await typed(page, "clear; echo pick-me http://127.0.0.1:1/link; bind 'set enable-bracketed-paste on' 2>/dev/null; cat -v\n", /^pick-me http/m);
  const word = await cell(page, "pick-me");
  await page.mouse.dblclick(word.x, word.y);
  await page.keyboard.press("Control+c");
  await until(async () => /pick-me/.test(await page.evaluate(() => navigator.clipboard.readText())));
  // The selection is gone, so the key is the program's again.
  await page.evaluate(() => navigator.clipboard.writeText("from the clipboard"));
  await page.keyboard.press("Control+Shift+v");
  await says(page, /from the clipboard/);
  await typed(page, "\n", /^from the clipboard$/m);
  const link = await cell(page, "127.0.0.1");
  await page.mouse.move(link.x - 3, link.y);
  await page.mouse.move(link.x, link.y);
  await page.locator(".xterm-cursor-pointer").waitFor();
  const opened = page.context().waitForEvent("page");
  await page.mouse.click(link.x, link.y);
  const there = await opened;
  assert.equal(await there.evaluate(() => window.opener), null);
  await page.bringToFront();
  await page.locator(".xterm-screen").click({ position: { x: 5, y: 300 } });
  await page.keyboard.press("Control+c");
  await says(page, /\^C/);
  // A program that asks for it gets the marks of a paste, and a late viewer's terminal knows it, too.
  await typed(page, "clear; printf '\\033[?2004hready\\n'; cat -v\n", /^ready$/m);
  await page.reload();
  await page.getByText("You type here.").waitFor();
  await says(page, /^ready$/m);
  await page.keyboard.press("Control+Shift+v");
  await says(page, /\^\[\[200~from the clipboard\^\[\[201~/);
  await page.keyboard.press("Control+c");
});

test("a program gets the mouse, and an answer to what it asks its terminal, once", { timeout: 180_000 }, async () => {
  const { page, session, job } = await shell();
  const other = await view(terminalAt(session, job));
  await other.getByText("You watch; another window types.").waitFor();
  // Reads until nothing more comes: a second window would answer, too. A page that is very slow does
  // not answer, because then nobody waits for it; so the program asks again.
  const read = "dd bs=100 count=1 2>/dev/null";
  const ask = [
    "clear; stty raw -echo min 0 time 30; a=",
    `while [ "\${a%R}" = "$a" ]; do printf '\\033[c\\033[6n'; a=$(${read}; ${read}; ${read}); done`,
    "stty sane; printf '%s' \"$a\" | cat -v; echo; echo done\n",
  ];
  const answered = (await typed(page, ask.join("; "), /^done$/m)).join("");
  const answers = answered.match(/\^\[\[\?[\d;]+c|\^\[\[\d+;\d+R/g);
  assert.equal(answers?.length, 2, `one answer to each question: ${answered}`);
  await typed(page, "clear; printf '\\033[?1000h\\033[?1006hready\\n'; cat -v\n", /^ready$/m);
  const spot = await cell(page, "ready");
  await page.mouse.click(spot.x, spot.y);
  await says(page, /\^\[\[<0;\d+;\d+M/);
  await page.keyboard.press("Control+c");
});

test("a phone has the keys that it lacks, and no sideways scrolling", { timeout: 180_000 }, async () => {
  for (const colorScheme of ["dark", "light"]) {
    const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, colorScheme };
    const { page } = await shell(phone);
    await typed(page, "clear; echo ready; cat -v\n", /^ready$/m);
    for (const name of ["Esc", "Up", "Tab"]) await page.getByRole("button", { name, exact: true }).tap();
    await says(page, /\^\[\^\[\[A/);
    await page.getByRole("button", { name: "Ctrl", exact: true }).tap();
    await page.keyboard.type("c");
    await says(page, /\^C/);
    await typed(page, "clear; ls --color=always /; stty size\n", /^\d+ \d+$/m);
    await isNoWider(page);
    await shot(page, `phone-terminal-${colorScheme}`);
    await page.context().close();
    pages = pages.filter((it) => it !== page);
  }
});

test("light and dark hold for the page and for the terminal in it", { timeout: 180_000 }, async () => {
  const page = await view(server.address, { colorScheme: "light" });
  await page.locator("#create-shell").click();
  const terminal = page.frameLocator("#inline iframe");
  await terminal.getByText("You type here.").waitFor();
  await page.locator("#theme").click();
  const ground = () => terminal.locator("body").evaluate((body) => getComputedStyle(body).backgroundColor);
  await until(async () => (await ground()) === "rgb(15, 18, 21)");
  await shot(page, "shell-dark");
});

test("a viewer watches and cannot type", { timeout: 180_000 }, async () => {
  const guarded = await Server.start({}, { anna: "correct-horse", victor: "battery-staple:viewer" });
  try {
    const page = await view(guarded.address);
    await logIn(page, "anna", "correct-horse");
    await page.locator("#create-shell").click();
    await keysGoToTerminal(page);
    await typed(page, "echo from anna\n", /^from anna$/m);
    const session = sessionOf(page);
    const watching = await view(`${guarded.address}/console/terminal.html#session=${session}&job=1`);
    await logIn(watching, "victor", "battery-staple");
    await watching.getByText("You watch; anna types.").waitFor();
    await says(watching, /^from anna$/m);
    assert.equal(await watching.locator("#take").isVisible(), false);
    await shot(watching, "viewer");
  } finally {
    await guarded.stop();
  }
});

test("a session is replayed with its terminals, and one is opened in its middle", { timeout: 180_000 }, async () => {
  const session = await server.session("replay");
  const terminal = { columns: 60, rows: 10 };
  const job = await server.run(session, "printf 'one\\n'; sleep 0.3; printf '\\033[2J\\033[3;3Htwo'; sleep 0.3; printf '\\033[2J\\033[Hthree\\n'", { terminal });
  const { events } = await server.ask("GET", `/sessions/${session}/events`);
  const second = events.find((event) => event.result?.content?.includes("two"));
  const page = await view(at(server, session, `&at=${second.sequence}`));
  await page.locator("#state.is-replay").waitFor();
  await outputs(page, ["", "", "  two"]);
  await page.locator("#live").click();
  await outputs(page, ["three"]);
  const ended = await view(terminalAt(session, job));
  await says(ended, /^three$/m);
  await ended.getByText("The program has ended: completed.").waitFor();
});

/** A window in which any error fails the test. */
async function view(address, options = {}) {
  const permissions = ["clipboard-read", "clipboard-write"];
  const page = await open(browser, address, { permissions, ...options });
  page.setDefaultTimeout(PATIENCE);
  pages.push(page);
  return page;
}

/** A window of one terminal with a shell. */
async function shell(options = {}) {
  const session = await server.session("shell");
  const page = await view(`${server.address}/console/terminal.html#session=${session}`, options);
  await page.locator("#start").click();
  await page.getByText("You type here.").waitFor();
  const job = Number(new URLSearchParams(new URL(page.url()).hash.slice(1)).get("job"));
  return { page, session, job };
}

/** The size that a program sees, once it is the one that the window has asked for. */
async function sizeOf(page) {
  let size;
  await until(async () => {
    const shown = await typed(page, "clear; stty size\n", /^\d+ \d+$/m);
    const [rows, columns] = /^(\d+) (\d+)$/m.exec(shown.join("\n")).slice(1).map(Number);
    size = { columns, rows };
    return (await page.locator("#size").textContent()) === `${columns}×${rows}`;
  });
  return size;
}

const terminalAt = (session, job) => `${server.address}/console/terminal.html#session=${session}&job=${job}`;

/** Where a text is in a terminal. */
async function cell(page, text) {
  const rows = await screen(page);
  const row = rows.findIndex((it) => it.includes(text));
  assert.ok(row >= 0, `no ${text} in:\n${rows.join("\n")}`);
  const columns = Number(/^\d+/.exec(await page.locator("#size").textContent())[0]);
  const { x, y, width, height } = await page.locator(".xterm-screen").boundingBox();
  const column = rows[row].indexOf(text) + 1;
  return { x: x + (column + 0.5) * (width / columns), y: y + (row + 0.5) * (height / rows.length) };
}
