// Tests of terminals, transcripts and widths, without a browser.

import assert from "node:assert/strict";
import { test } from "node:test";

const assets = new URL("../../frontends/console/assets/", import.meta.url);
const { Terminal } = await import(new URL("terminal.js", assets));
const { Transcript } = await import(new URL("transcript.js", assets));
const { Recording } = await import(new URL("recording.js", assets));
const { LineWrap } = await import(new URL("wrap.js", assets));
const { rowsOf, cuts } = await import(new URL("width.js", assets));
const { SHOWN_LINES, LONGEST_LINE } = await import(new URL("limits.js", assets));

function written(...chunks) {
  const terminal = new Terminal();
  for (const chunk of chunks) terminal.write(chunk, "stdout");
  return terminal;
}

const texts = (terminal) => terminal.lines.slice(0, terminal.count).map((line) => line.text);
const looks = (terminal) => terminal.lines[0].pieces(0, 1_000).map(([text, look]) => [text, look && { ...look }]);

test("an overwritten line shows what was written last", () => {
  assert.deepEqual(texts(written("10%\r20%\r100%\ndone\n")), ["100%", "done"]);
  assert.deepEqual(texts(written("abcdef\rXY")), ["XYcdef"]);
  assert.deepEqual(texts(written("abcdef\rXY\x1b[K")), ["XY"]);
  assert.deepEqual(texts(written("abc\b\bX\n")), ["aXc"]);
  assert.deepEqual(texts(written("a\tb\n")), ["a       b"]);
});

test("a block of progress lines is overwritten, and the lines below are erased", () => {
  assert.deepEqual(texts(written("a 1\nb 1\n", "\x1b[2A", "a 2\nb 2\n")), ["a 2", "b 2"]);
  assert.deepEqual(texts(written("a\nb\nc\n\x1b[2A\x1b[Jz\n")), ["a", "z"]);
  assert.deepEqual(texts(written("a\n\x1b[99Ab\n")), ["b"]);
});

test("an escape sequence works wherever chunks split it", () => {
  const whole = "\x1b[1;38;5;208mhot\x1b[0m cold\x1b]0;title\x07\x1b(B\x1bc end";
  const expected = [["hot", { bold: true, colour: 208 }], [" cold end", null]];
  for (let at = 0; at <= whole.length; at += 1) {
    const terminal = written(whole.slice(0, at), whole.slice(at));
    assert.deepEqual(looks(terminal), expected, `cut at ${at}`);
  }
});

test("all kinds of colours are shown until they are reset", () => {
  const said = written("\x1b[31;44ma\x1b[39mb\x1b[49mc\x1b[38;2;1;2;255;3md\x1b[0;97;7me\x1b[27mf\x1b[mg");
  assert.deepEqual(looks(said), [
    ["a", { colour: 1, ground: 4 }],
    ["b", { ground: 4 }],
    ["c", null],
    ["d", { colour: "#0102ff", italic: true }],
    ["e", { colour: 15, inverse: true }],
    ["f", { colour: 15 }],
    ["g", null],
  ]);
  const cut = written("\x1b[32mgreen and more\x1b[0m\rred");
  assert.deepEqual(looks(cut), [["red", null], ["en and more", { colour: 2 }]]);
});

test("HTML stays text, and no control character is left", () => {
  const hostile = "<img src=x onerror=alert(1)>\x00\x07\x7f\x9d\u202egnp.exe\x1b]8;;http://x\x1b\\link\n";
  assert.deepEqual(texts(written(hostile)), ["<img src=x onerror=alert(1)>\ufffdgnp.exelink"]);
  assert.deepEqual(texts(written("a\u202eb\x9b31mc\n")), ["a\ufffdbc"]);
  assert.deepEqual(texts(written("a\x1b]0;never ended\nb\n")), ["a", "b"]);
});

test("stderr has its own style, and colours of one stream don't affect the other", () => {
  const terminal = new Terminal();
  terminal.write("\x1b[32mout", "stdout");
  terminal.write("err", "stderr");
  terminal.write("put", "stdout");
  assert.deepEqual(looks(terminal), [
    ["out", { colour: 2 }],
    ["err", { isError: true }],
    ["put", { colour: 2 }],
  ]);
});

test("a line that is too long continues in the next", () => {
  const terminal = written("x".repeat(LONGEST_LINE * 2 + 5));
  assert.deepEqual(terminal.lines.map((line) => line.text.length), [LONGEST_LINE, LONGEST_LINE, 5]);
  assert.deepEqual(terminal.lines.map((line) => line.isJoined), [false, true, true]);
});

test("invalid bytes and split characters are shown as well as possible", () => {
  const base64 = (bytes) => Buffer.from(bytes).toString("base64");
  const euro = Buffer.from("€");
  const transcript = fold([
    { type: "result", job: 1, result: { contentBase64: base64(euro.subarray(0, 2)), stream: "stdout" } },
    { type: "result", job: 1, result: { contentBase64: base64([...euro.subarray(2), 0xff]), stream: "stdout" } },
    { type: "result", job: 1, result: { content: "!\n", stream: "stdout" } },
  ]);
  assert.equal(transcript.jobs.get(1).terminal.lines[0].text, "€\ufffd!");
});

test("results other than output are shown as columns", () => {
  const result = { jobs: [{ id: 1, state: "running" }, { id: 22, state: "lost" }], type: "jobs", jobId: 3 };
  const transcript = fold([{ type: "result", job: 1, result }, { type: "job-finished", job: 1, outcome: "completed", status: 0 }]);
  assert.equal(transcript.text(), "$ run\nid  state\n1   running\n22  lost\n");
});

test("the outcome of a job and a gap in the events are shown", () => {
  const transcript = fold([{ type: "result", job: 1, result: { content: "half", stream: "stdout" } }]);
  transcript.apply({ sequence: 9, at: 9, type: "job-finished", job: 1, outcome: "lost", status: -1, message: null });
  assert.match(transcript.text(), /half\n— lost: the server stopped while it ran\n/);
  assert.match(transcript.text(), /Events 3 to 8 are missing/);
  transcript.apply({ sequence: 20, at: 9, type: "records-lost", first: 10, last: 20, cause: "damage" });
  assert.match(transcript.text(), /— Events 10 to 20 cannot be read: the log is damaged there.\n$/);
});

test("a private job is not shown as one that never ends", () => {
  const transcript = fold([{ type: "private" }, { type: "job-started", job: 7 }, { type: "private" }]);
  assert.deepEqual([...transcript.jobs.keys()], [1]);
});

test("the oldest lines are dropped when there are too many, and the page says so", () => {
  const transcript = fold([]);
  const said = "line\n".repeat(10_000);
  for (let at = 0; at < SHOWN_LINES / 10_000 + 2; at += 1) {
    transcript.apply({ sequence: 2 + at, at: 2, type: "result", job: 1, result: { content: said, stream: "stdout" } });
  }
  const { terminal } = transcript.jobs.get(1);
  assert.ok(terminal.lines.length <= SHOWN_LINES);
  assert.equal(terminal.count + terminal.dropped, SHOWN_LINES + 20_000);
  assert.match(transcript.text(), /earlier lines have left the page/);
});

test("rows are as many as a line needs, and wide characters need two columns", () => {
  assert.equal(rowsOf("x".repeat(80), 80), 1);
  assert.equal(rowsOf("x".repeat(81), 80), 2);
  assert.equal(rowsOf("漢".repeat(41), 80), 2);
  assert.deepEqual(cuts("a漢字b", 3), [0, 2]);
  const wrap = new LineWrap();
  const lines = ["a", "b".repeat(25), "c"].map((text) => ({ text }));
  assert.equal(wrap.measure(lines, 3, 10, 0), 5);
  assert.deepEqual([0, 1, 3, 4].map((row) => wrap.at(row)), [[0, 0], [1, 0], [1, 2], [2, 0]]);
  assert.equal(wrap.measure(lines, 3, 30, Infinity), 3);
});

test("a recording finds moments with and without pauses, and drops old events", () => {
  const recording = new Recording();
  const instants = [0, 10, 1_000_000, 1_000_010];
  instants.forEach((at, place) => recording.add({ sequence: 5 + place, at, type: "private" }));
  assert.equal(recording.add({ sequence: 8, at: 0, type: "private" }), false);
  assert.equal(recording.countTo(6), 2);
  assert.equal(recording.length(true), 1_000_010);
  assert.ok(recording.length(false) < 5_000);
  assert.equal(recording.countAt(500_000, true), 2);
  recording.addEarlier([{ sequence: 4, at: -5, type: "private" }, { sequence: 5, at: 0, type: "private" }]);
  assert.deepEqual(recording.events.map((event) => event.sequence), [4, 5, 6, 7, 8]);
});

test("what an agent runs is told from what people run", () => {
  const requests = ["mcp:build", "build", null, undefined];
  const isAgents = requests.map((request) => {
    const submitted = { type: "job-submitted", job: 2, statement: "make", place: "background", request };
    return fold([submitted]).jobs.get(2).isAgents;
  });
  assert.deepEqual(isAgents, [true, false, false, false]);
});

/** A transcript of a submitted job 1, followed by these events. */
function fold(events) {
  const transcript = new Transcript();
  const submitted = { type: "job-submitted", job: 1, statement: "run", place: "foreground" };
  [submitted, ...events].forEach((event, at) => transcript.apply({ sequence: 1 + at, at, ...event }));
  return transcript;
}
