// Runs the browser tests, and the files with a failure once more, as `.ci/run` needs it: a browser on
// a loaded machine can be late once. What fails twice is a failure. What failed once is named as such;
// it is a fault, too, of the page or of the test, and is to be mended.

import { once } from "node:events";
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { tap } from "node:test/reporters";
import { run } from "node:test";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const all = readdirSync(here).filter((name) => name.endsWith(".test.mjs"));

/** Runs these files, and returns the names of the tests that failed, by file. */
async function failures(names) {
  const failed = new Map();
  const events = run({ files: names.map((name) => join(here, name)) });
  events.on("test:fail", ({ name, file }) => {
    const of = basename(file ?? name);
    failed.set(of, [...(failed.get(of) ?? []), name]);
  });
  const report = events.compose(tap);
  report.pipe(process.stdout, { end: false });
  await once(report, "end");
  return failed;
}

const list = (failed) => [...failed].map(([file, names]) => `\n  ${file}: ${names.join("; ")}`).join("");

const first = await failures(all);
if (first.size > 0) {
  const again = await failures([...first.keys()]);
  if (again.size > 0) {
    console.log(`FAILED TWICE:${list(again)}`);
    process.exit(1);
  }
  console.log(`FAILED ONCE, and not when it ran again:${list(first)}`);
}
