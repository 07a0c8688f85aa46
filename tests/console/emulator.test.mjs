// What terminals look like in the transcript, and that xterm.js is the published one. Without a browser.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const assets = new URL("../../frontends/console/assets/", import.meta.url);
const { Emulator } = await import(new URL("emulator.js", assets));
const { Transcript } = await import(new URL("transcript.js", assets));
const { EMULATED_ROWS } = await import(new URL("limits.js", assets));

const SIZE = { columns: 40, rows: 10 };

function written(...chunks) {
  const emulator = new Emulator(SIZE);
  for (const chunk of chunks) emulator.write(Buffer.from(chunk));
  return emulator;
}

const texts = (emulator) => emulator.lines.map((line) => line.text);
const looks = (emulator) => emulator.lines[0].pieces(0, 1_000).map(([text, look]) => [text, look && { ...look }]);

test("wide characters take two columns, also where they are overwritten", () => {
  assert.deepEqual(texts(written("😀\bX\r\n")), [" X"]);
  assert.deepEqual(texts(written("日本語日本語\rab\r\n")), ["ab本語日本語"]);
  assert.deepEqual(texts(written("日本語\r\x1b[Cx\r\n")), [" x本語"]);
});

test("the screen is erased, addressed and shifted as programs ask", () => {
  assert.deepEqual(texts(written("old\r\nold\r\n\x1b[2J\x1b[Hnew")), ["new"]);
  assert.deepEqual(texts(written("\x1b[3;5Hhere\x1b[1;1Htop")), ["top", "", "    here"]);
  assert.deepEqual(texts(written("one \x1b7two\x1b8TWO")), ["one TWO"]);
  assert.deepEqual(texts(written("abcdef\r\x1b[2P")), ["cdef"]);
  assert.deepEqual(texts(written("abcdef\r\x1b[2@")), ["  abcdef"]);
  assert.deepEqual(texts(written("a\r\nb\r\nc\x1b[2;1H\x1b[L-")), ["a", "-", "b", "c"]);
});

test("a full-screen program is shown while it runs, and what was there before afterwards", () => {
  const emulator = written("before\r\n\x1b[?1049h\x1b[H\x1b[2Jeditor");
  assert.deepEqual(texts(emulator), ["editor"]);
  emulator.write(Buffer.from("\x1b[?1049lafter"));
  assert.deepEqual(texts(emulator), ["before", "after"]);
});

test("a line that the terminal has wrapped is one line", () => {
  const emulator = written("x".repeat(100), "\r\nshort\r\n");
  assert.deepEqual(texts(emulator), ["x".repeat(100), "short"]);
});

test("colours and attributes are kept, and spaces at the end of a line are not", () => {
  const emulator = written("\x1b[1;31mred\x1b[0m plain \x1b[48;2;1;2;3m  \x1b[0m     \x1b[7m \x1b[0m   ");
  assert.deepEqual(looks(emulator), [
    ["red", { bold: true, colour: 1 }],
    [" plain ", null],
    ["  ", { ground: "#010203" }],
    ["     ", null],
    [" ", { inverse: true }],
    ["   ", null],
  ]);
});

test("a character that is split over two results is one, and bytes that are no text are marked", () => {
  const euro = Buffer.from("€");
  assert.deepEqual(texts(written(euro.subarray(0, 2), euro.subarray(2))), ["€"]);
  assert.deepEqual(texts(written([0x61, 0xff, 0xfe], "b")), ["a\ufffd\ufffdb"]);
});

test("all lines of long output are kept, whatever the chunks", () => {
  const count = EMULATED_ROWS * 5 + 17;
  const lines = Array.from({ length: count }, (_, at) => `line ${at}`);
  const said = `${lines.join("\r\n")}\r\n`;
  assert.deepEqual(texts(written(said)), lines);
  const chunks = said.match(/.{1,977}/gs);
  const emulator = written(...chunks);
  assert.ok(Math.abs(emulator.size - count) < 20);
  emulator.end();
  assert.deepEqual(texts(emulator), lines);
  assert.equal(emulator.drop(100), 100);
  assert.equal(emulator.lines[0].text, "line 100");
});

test("a program that erases what has scrolled away erases it here, too", () => {
  const emulator = written("gone\r\n".repeat(EMULATED_ROWS * 2), "\x1b[H\x1b[2J\x1b[3Jkept");
  assert.deepEqual(texts(emulator), ["kept"]);
});

test("no sequence takes long or a lot of memory", () => {
  // Of the processor: others may use it at the same time.
  const begun = process.cpuUsage();
  const emulator = written("a\x1b[2147483647b\x1b[999999999L\x1b[999999999S\x1b[999999999;999999999Hz", "\x1b]0;", "x".repeat(1e6));
  assert.equal(emulator.lines.at(-1).text.trim(), "z");
  const { user, system } = process.cpuUsage(begun);
  assert.ok(user + system < 2_000_000, `${user + system} µs`);
});

test("the direction of text cannot be turned", () => {
  assert.deepEqual(texts(written("a\u202egnp.exe")), ["a\ufffdgnp.exe"]);
});

test("a job's terminal grows and shrinks as the events say, and ends as plain lines", () => {
  const result = (content) => ({ type: "result", job: 1, result: { content, stream: "terminal", type: "terminal", jobId: 1 } });
  const transcript = fold([
    { type: "job-started", job: 1 },
    result(`${"x".repeat(20)}\r\n`),
    { type: "terminal-resized", job: 1, columns: 10, rows: 5 },
    { type: "input", job: 1, content: "not shown twice" },
    { type: "input-hidden", job: 1, bytes: 7 },
    result("0123456789012345"),
    { type: "job-finished", job: 1, outcome: "failed", status: 3, message: null },
  ]);
  assert.equal(transcript.text(), `$ run\n${"x".repeat(20)}\n0123456789012345\n— exited with 3\n`);
  assert.equal(transcript.current, null);
});

test("a shell is called so, and a terminal seen from the middle begins with its screen", () => {
  const shell = fold([], { statement: "" });
  assert.equal(shell.text(), "$ shell\n");
  assert.equal(shell.current.isShell, true);
  const known = new Map([[4, { job: 4, statement: "top", place: "foreground", submitted: 1, screen: { ...SIZE, content: "seen\r\n" } }]]);
  const transcript = new Transcript(known);
  const result = { content: "more", stream: "terminal", type: "terminal", jobId: 4 };
  transcript.apply({ sequence: 900, at: 2, type: "result", job: 4, result });
  assert.equal(transcript.text(), "$ top\nseen\nmore\n");
});

test("a built-in command, or one of Arthas, leaves its terminal unused and is shown all the same", () => {
  const result = { jobs: [{ id: 1 }, { id: 22 }], type: "jobs", jobId: 1 };
  const transcript = fold([{ type: "result", job: 1, result }]);
  assert.equal(transcript.jobs.get(1).isUnused, true);
  transcript.apply({ sequence: 9, at: 9, type: "job-finished", job: 1, outcome: "completed", status: 0, message: null });
  assert.match(transcript.text(), /^\$ run\nid\n1\n22\n/);
});

test("xterm.js is the one that README.txt names", () => {
  const vendor = new URL("vendor/", assets);
  const listed = readFileSync(new URL("README.txt", vendor), "utf8").match(/^[0-9a-f]{64} {2}\S+$/gm);
  const files = readdirSync(vendor).filter((name) => !name.endsWith(".txt"));
  const found = files.map((name) => {
    const hash = createHash("sha256").update(readFileSync(new URL(name, vendor)));
    return `${hash.digest("hex")}  ${name}`;
  });
  assert.deepEqual(found.sort(), listed.sort());
});

/** A transcript of job 1, which has a terminal, followed by these events. */
function fold(events, more = {}) {
  const transcript = new Transcript();
  const submitted = { type: "job-submitted", job: 1, statement: "run", place: "foreground", output: "terminal", terminal: SIZE, ...more };
  [submitted, ...events].forEach((event, at) => transcript.apply({ sequence: 1 + at, at, ...event }));
  return transcript;
}
