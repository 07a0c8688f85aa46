// How the console shows results of Arthas: as the command line does.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { arthasText } from "../../frontends/console/assets/arthas.js";

const file = (name) => readFileSync(new URL(`../arthas/${name}`, import.meta.url), "utf8");

test("results of a real Arthas are shown as it shows them", () => {
  const results = file("results.jsonl").trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.ok(results.length > 40);
  const shown = results.map((result) => `=== ${result.type}\n${arthasText(result)}`).join("");
  assert.equal(shown, file("results.txt"));
});

test("a result of another shape is left to its members", () => {
  const others = [
    { type: "watch", value: 1 },
    { type: "trace", root: null },
    { type: "thread" },
    { type: "jvm", jvmInfo: 3 },
    { type: "nosuch" },
    { type: "constructor" },
    {},
  ];
  for (const other of others) assert.equal(arthasText(other), null, JSON.stringify(other));
});
