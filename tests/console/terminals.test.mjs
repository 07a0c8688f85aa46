// Terminals in a real browser: those who type, those who watch, and those who come late.
//
// With `SHOTS=folder` it leaves pictures of what it saw.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  becomes, finished, isNoWider, keysGoToTerminal, logIn, outputs, same, say, says, screen, sessionOf, shot, texts, typed, typesHere,
  unseen, until,
} from "./page.mjs";
import { at, stage } from "./server.mjs";

const { server, view, close, another } = stage({ ENV: "", PS1: "$ ", VIMINIT: "set nocompatible ruler", LESS: "" });

test("a shell is one click away, is typed into, and becomes text when it ends", async () => {
  const page = await view(server.address);
  await page.locator("#create-shell").click();
  const terminal = await keysGoToTerminal(page);
  await unseen(page, ["#prompt"]);
  // It begins with 80 columns and gets the size of the window.
  await terminal.locator("#size", { hasNotText: "80×24" }).waitFor();
  const { columns, rows } = await sizeOf(page, terminal);
  await typed(page, "test -t 0 && test -t 1 && echo a terminal of $(stty size)\n", new RegExp(`a terminal of ${rows} ${columns}$`, "m"));
  // The console and the terminal in it are one window.
  const session = sessionOf(page);
  await becomes(async () => (await server.ask("GET", `/sessions/${session}/viewers`)).count, 1);
  await page.locator("#viewers[aria-label='1 viewer']").waitFor();
  await shot(page, "shell");
  await page.keyboard.type("exit\n");
  await page.locator(".row.output", { hasText: /^a terminal of/ }).waitFor();
  await page.locator("#inline").waitFor({ state: "hidden" });
  await page.locator("#statement:focus").waitFor();
  await page.locator(".row.statement", { hasText: /^\$shellexit 0/ }).waitFor();
});

test("a command of the prompt has a terminal, too, and what it showed stays", async () => {
  const page = await view(at(server, await server.session("prompt")));
  await say(page, "test -t 1 && printf '\\033[32mgreen\\033[0m\\n'; printf '😀\\bX|\\n日本語日本語\\rab|\\n'; tput cols");
  await finished(page, 1);
  await texts(page, ".row.output .c2", ["green"]);
  const lines = async () => page.locator(".row.output").allTextContents();
  // The bar takes half of a wide character, so the other half is empty.
  await becomes(async () => (await lines()).slice(0, 3), ["green", " X|", "ab| 語日本語"]);
  await until(async () => Number((await lines())[3]) > 60);

  await say(page, "printf 'Your name: '; read name; for i in 1 2 3 4 5; do printf '\\r%d of 5' $i; sleep 0.1; done; echo; echo hello $name");
  await says(page, /Your name:/);
  await keysGoToTerminal(page);
  // Only as high as its content.
  await until(async () => {
    const { height } = await page.locator("#inline").boundingBox();
    return height > 20 && height < 120;
  });
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

test("full-screen programs look the same to who was there and to who comes late", async () => {
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
    await close(late);
    await page.keyboard.type(leave);
    await says(page, /^ready>$/m);
  }
});

test("who types sets the size; who watches sees all of it, and may take control", async () => {
  const { page, session, job } = await shell({ viewport: { width: 1100, height: 700 } });
  const { columns, rows } = await sizeOf(page);
  const other = await view(terminalAt(session, job), { viewport: { width: 600, height: 420 } });
  await other.getByText("You watch; another window types.").waitFor();
  await says(other, new RegExp(`^${rows} ${columns}$`, "m"));
  for (const window of [page, other]) {
    await window.locator("#viewers[aria-label='2 viewers']").waitFor();
  }
  await becomes(async () => (await screen(other)).length, rows);
  await until(async () => {
    const { width, height } = await other.locator(".xterm-screen").boundingBox();
    return width <= 600 && height <= 420;
  });
  await other.locator(".xterm-screen").click();
  await other.keyboard.type("echo not heard\n");
  await other.setViewportSize({ width: 500, height: 400 });
  await typed(page, "clear; stty size; echo still\n", new RegExp(`^${rows} ${columns}\nstill$`, "m"));
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

test("an editor goes on through a reload, and through the server's death", async () => {
  const { page, session, job } = await shell();
  const file = join(server.directory, "poem.txt");
  await typed(page, `clear; vi ${file}\n`, /^~$/m);
  await typed(page, "iRoses are red", /^Roses are red\n[^]*-- INSERT -- +1,14 /m);
  const before = await screen(page);
  await page.reload();
  await typesHere(page);
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

test("a password is not shown, and is not in the log", async () => {
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

test("text is selected, copied and pasted, and links open apart from the page", async () => {
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
  await until(async () => {
    await page.mouse.move(link.x - 3, link.y);
    await page.mouse.move(link.x, link.y);
    return page.locator(".xterm-cursor-pointer").isVisible();
  });
  const opened = page.context().waitForEvent("page");
  await page.mouse.click(link.x, link.y);
  const there = await opened;
  await becomes(() => there.evaluate(() => window.opener), null);
  await page.bringToFront();
  await page.locator(".xterm-screen").click({ position: { x: 5, y: 300 } });
  await page.keyboard.press("Control+c");
  await says(page, /\^C/);
  // A program that asks for it gets the marks of a paste, and a late viewer's terminal knows it, too.
  await typed(page, "clear; printf '\\033[?2004hready\\n'; cat -v\n", /^ready$/m);
  await page.reload();
  await typesHere(page);
  await says(page, /^ready$/m);
  await page.keyboard.press("Control+Shift+v");
  await says(page, /\^\[\[200~from the clipboard\^\[\[201~/);
  await page.keyboard.press("Control+c");
});

test("a program gets the mouse, and an answer to what it asks its terminal, once", async () => {
  const { page, session, job } = await shell();
  const other = await view(terminalAt(session, job));
  await other.getByText("You watch; another window types.").waitFor();
  // Reads until nothing more comes: a second window would answer, too. A page that is very slow does
  // not answer, because then nobody waits for it; so the program asks again, from the next row.
  const read = "dd bs=100 count=1 2>/dev/null";
  const ask = [
    "clear; stty raw -echo min 0 time 30; a=; n=1",
    `while [ "\${a%R}" = "$a" ]; do n=$((n+1)); printf '\\033[%d;9H\\033[c\\033[6n' $n; a=$(${read}; ${read}; ${read}); done`,
    "stty sane; clear; printf '%s' \"$a\" | cat -v; echo; echo asked up to $n\n",
  ];
  const answered = (await typed(page, ask.join("; "), /^asked up to \d+$/m)).join("");
  const names = answered.match(/\^\[\[\?[\d;]+c/g) ?? [];
  const places = answered.match(/\^\[\[\d+;9R/g) ?? [];
  const asked = Number(/asked up to (\d+)/.exec(answered)[1]) - 1;
  assert.ok(places.includes(`^[[${asked + 1};9R`), `an answer: ${answered}`);
  assert.equal(new Set(places).size, places.length, `one answer to each question: ${answered}`);
  assert.ok(names.length >= 1 && names.length <= asked, `one answer to each of ${asked} questions: ${answered}`);
  await typed(page, "clear; printf '\\033[?1000h\\033[?1006hready\\n'; cat -v\n", /^ready$/m);
  const spot = await cell(page, "ready");
  await page.mouse.click(spot.x, spot.y);
  await says(page, /\^\[\[<0;\d+;\d+M/);
  await page.keyboard.press("Control+c");
});

test("a phone has the keys that it lacks, and no sideways scrolling", async () => {
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
    await close(page);
  }
});

test("light and dark hold for the page and for the terminal in it", async () => {
  const page = await view(server.address, { colorScheme: "light" });
  await page.locator("#create-shell").click();
  const terminal = page.frameLocator("#inline iframe");
  await terminal.getByText("You type here.").waitFor();
  await page.locator("#theme").click();
  const ground = () => terminal.locator("body").evaluate((body) => getComputedStyle(body).backgroundColor);
  await becomes(ground, "rgb(15, 18, 21)");
  await shot(page, "shell-dark");
});

test("a viewer watches and cannot type", async () => {
  const guarded = await another({ anna: "correct-horse", victor: "battery-staple:viewer" });
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
  await unseen(watching, ["#take"]);
  await shot(watching, "viewer");
});

test("a session is replayed with its terminals, and one is opened in its middle", async () => {
  const session = await server.session("replay");
  const terminal = { columns: 60, rows: 10 };
  const [, second] = await server.steps(session, ["printf 'one\\n'", "printf '\\033[2J\\033[3;3Htwo'", "printf '\\033[2J\\033[Hthree\\n'"], { terminal });
  const page = await view(at(server, session, `&at=${second.sequence}`));
  await page.locator("#state.is-replay").waitFor();
  await outputs(page, ["", "", "  two"]);
  await page.locator("#live").click();
  await outputs(page, ["three"]);
  const ended = await view(terminalAt(session, second.job));
  await says(ended, /^three$/m);
  await ended.getByText("The program has ended: completed.").waitFor();
});

/** A window of one terminal with a shell. */
async function shell(options = {}) {
  const session = await server.session("shell");
  const page = await view(`${server.address}/console/terminal.html#session=${session}`, options);
  await page.locator("#start").click();
  await typesHere(page);
  const job = Number(new URLSearchParams(new URL(page.url()).hash.slice(1)).get("job"));
  return { page, session, job };
}

/** The size that a program sees, once it is the one that the terminal's page has asked for. */
async function sizeOf(page, terminal = page) {
  let size;
  await until(async () => {
    const shown = await typed(page, "clear; stty size\n", /^\d+ \d+$/m);
    const [rows, columns] = /^(\d+) (\d+)$/m.exec(shown.join("\n")).slice(1).map(Number);
    size = { columns, rows };
    return (await terminal.locator("#size").textContent()) === `${columns}×${rows}`;
  });
  return size;
}

const terminalAt = (session, job) => `${server.address}/console/terminal.html#session=${session}&job=${job}`;

/** Where a text is in a terminal: in the middle of its second character. */
async function cell(page, text) {
  let place = null;
  await until(async () => (place = await page.evaluate(placeOf, text)) !== null);
  return place;
}

/** In the page: where a text is. */
function placeOf(text) {
  for (const row of document.querySelectorAll(".xterm-rows > div")) {
    const from = row.textContent.replaceAll("\u00a0", " ").indexOf(text);
    if (from < 0) continue;
    const walker = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
    let left = from + 1;
    while (walker.nextNode() && left >= walker.currentNode.length) left -= walker.currentNode.length;
    const range = new Range();
    range.setStart(walker.currentNode, left);
    range.setEnd(walker.currentNode, left + 1);
    const { x, y, width, height } = range.getBoundingClientRect();
    return { x: x + width / 2, y: y + height / 2 };
  }
  return null;
}
