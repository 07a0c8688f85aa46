// Makes the picture of the console that the README shows: book/src/console.png.
//
//     REJOIN_BINARY=target/release/rejoin node picture.mjs
//
// The programs that the session runs are made up; server, log and page are real. It looks as in
// the README where the fonts Inter and JetBrains Mono are installed (Debian: fonts-inter and
// fonts-jetbrains-mono).

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Server, at, launch, open } from "./server.mjs";

const PICTURE = fileURLToPath(new URL("../../book/src/console.png", import.meta.url));

const GIT = String.raw`#!/bin/sh
[ "$1" = apply ] && exec touch "$0.applied"
commit() { printf '\033[33m%s\033[0m%b %s\n' "$1" "$2" "$3"; }
commit 7d1c40e ' (\033[1;36mHEAD -> \033[1;32mmain\033[0m)' 'Round half to even, as the bank does'
commit 91be07d '' 'Settle all of a day in one pass'
commit 4f2c1aa '' 'Refuse amounts without a currency'
`;

const CARGO = String.raw`#!/bin/sh
step() { printf '\033[1;32m%12s\033[0m %s\n' "$1" "$2"; sleep 0.04; }
try() { printf 'test %s ... \033[%sm%s\033[0m\n' "$1" "$2" "$3"; sleep 0.04; }
for crate in 'memchr v2.7.6' 'rust_decimal v1.39.0' 'jiff v0.2.43' 'ledger v0.4.2 (/src/ledger)'; do step Compiling "$crate"; done
for done in 3 9 15 20; do
    printf '\r\033[1;36m    Building\033[0m [%-20s] %d/20: ledger' "$(printf '%*s' $((done - 1)) '' | tr ' ' '=')>" "$done"
    sleep 0.12
done
printf '\r\033[K'
step Finished 'test profile [unoptimized] target(s) in 6.41s'
printf '\nrunning 6 tests\n'
try amount::parses_what_it_prints 32 ok
try amount::refuses_no_currency 32 ok
try day::begins_at_midnight_utc 32 ok
try settle::keeps_the_order 32 ok
if [ -e "$(dirname "$0")/git.applied" ]; then
    try settle::rounds_half_to_even 32 ok
    sleep 100
fi
try settle::rounds_half_to_even 31 FAILED
printf '\nthread \047settle::rounds_half_to_even\047 panicked at src/settle.rs:118:9:\nassertion \140left == right\140 failed\n  left: \033[1;33m41.99\033[0m\n right: \033[1;33m42.00\033[0m\n' >&2
sleep 0.1
printf '\ntest result: \033[31mFAILED\033[0m. 4 passed; 1 failed; 0 ignored; finished in 0.31s\n'
exit 101
`;

const PG_DUMP = "#!/bin/sh\nexec sleep 100\n";

const programs = mkdtempSync(join(tmpdir(), "rejoin-picture-"));
for (const [name, text] of Object.entries({ git: GIT, cargo: CARGO, pg_dump: PG_DUMP, zstd: PG_DUMP })) {
  writeFileSync(join(programs, name), text);
  chmodSync(join(programs, name), 0o755);
}
const server = await Server.start({ PATH: `${programs}:${process.env.PATH}` });
const browser = await launch();
try {
  await server.ask("DELETE", `/sessions/${await server.session("bo")}`);
  const backup = await server.session("backup");
  await server.submit(backup, "pg_dump shop | zstd > shop.sql.zst");
  const watched = await server.session("carla");
  for (let reader = 0; reader < 2; reader += 1) await server.ask("POST", `/sessions/${watched}/consumers`);
  const session = await server.session("anna");
  await server.run(session, "git log --oneline -3");
  await server.run(session, "cargo test -p ledger");
  await server.run(session, "git apply half-to-even.patch");
  await server.submit(session, "cargo test -p ledger");
  const look = { viewport: { width: 1200, height: 760 }, deviceScaleFactor: 1.5, colorScheme: "dark" };
  const page = await open(browser, at(server, session), look);
  await page.locator(".row.output", { hasText: "half_to_even ... ok" }).waitFor();
  // A second in which nothing moves, so that durations and the time line are drawn.
  await page.waitForTimeout(2_300);
  await page.screenshot({ path: PICTURE });
  if (page.wrongs.length > 0) throw new Error(page.wrongs.join("\n"));
} finally {
  await browser.close();
  await server.stop();
  rmSync(programs, { recursive: true, force: true });
}
