// Makes the pictures of the console: book/src/console.png, which the README shows, too, and
// book/src/console-terminal.png.
//
//     REJOIN_BINARY=target/release/rejoin node picture.mjs
//
// Everything in it is real: a small crate is tested, mended and tested again. It needs cargo and git,
// and looks as in the README where the fonts Inter and JetBrains Mono are installed (Debian:
// fonts-inter and fonts-jetbrains-mono).

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Server, at, launch, open } from "./server.mjs";

const PICTURE = fileURLToPath(new URL("../../book/src/console.png", import.meta.url));
const TERMINAL = fileURLToPath(new URL("../../book/src/console-terminal.png", import.meta.url));

const MANIFEST = `[package]
name = "ledger"
version = "0.4.2"
edition = "2024"
`;

const library = (rounding) => `//! Amounts in cents.

/// The share of an amount in percent, rounded half to even.
pub fn share(cents: u64, percent: u64) -> u64 {
    let (whole, rest) = (cents * percent / 100, cents * percent % 100);
    whole + u64::from(${rounding})
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn keeps_whole_amounts() {
        assert_eq!(share(4_200, 50), 2_100);
    }

    #[test]
    fn rounds_down_below_half() {
        assert_eq!(share(4_201, 1), 42);
    }

    #[test]
    fn rounds_up_above_half() {
        assert_eq!(share(4_199, 1), 42);
    }

    #[test]
    fn rounds_half_to_even() {
        assert_eq!(share(4_250, 1), 42);
    }
}
`;
const WRONG = library("rest >= 50");
const RIGHT = library("rest > 50 || rest == 50 && whole % 2 == 1");

const directory = mkdtempSync(join(tmpdir(), "rejoin-picture-"));
const crate = join(directory, "ledger");
const git = (...words) => {
  const author = ["-c", "user.name=Anna", "-c", "user.email=anna@rejoin.example"];
  return execFileSync("git", [...author, ...words], { cwd: crate, encoding: "utf8" });
};
const commit = (message) => {
  git("add", "--all");
  git("commit", "--quiet", `--message=${message}`);
};
mkdirSync(join(crate, "src"), { recursive: true });
git("init", "--quiet", "--initial-branch=main");
writeFileSync(join(crate, "Cargo.toml"), MANIFEST);
writeFileSync(join(crate, ".gitignore"), "target\nCargo.lock\n");
writeFileSync(join(crate, "src/lib.rs"), "//! Amounts in cents.\n");
commit("Begin the ledger");
writeFileSync(join(crate, "src/lib.rs"), WRONG);
commit("Share amounts by percent");
writeFileSync(join(crate, "src/lib.rs"), RIGHT);
writeFileSync(join(directory, "half-to-even.patch"), git("diff"));
git("checkout", "--quiet", ".");

// Colours, as at a terminal.
const colours = { CARGO_TERM_COLOR: "always", CARGO_TERM_PROGRESS_WHEN: "never", RUST_BACKTRACE: "0" };
const server = await Server.start(colours);
const browser = await launch();
try {
  await server.ask("DELETE", `/sessions/${await server.session("bo")}`);
  const count = await server.session("carla");
  await server.submit(count, "for i in $(seq 600); do date; sleep 1; done");
  const session = await server.session("anna");
  await server.run(session, `cd ${crate}`);
  await server.run(session, "git log --oneline --color");
  await server.run(session, "cargo test --lib -- --color always");
  await server.run(session, "git apply ../half-to-even.patch");
  await server.run(session, "cargo test --lib -- --color always");
  await server.submit(session, "for i in $(seq 600); do date; sleep 1; done");
  const look = { viewport: { width: 1200, height: 760 }, deviceScaleFactor: 1.5, colorScheme: "dark" };
  const page = await open(browser, at(server, session), look);
  await page.locator(".row.output", { hasText: "half_to_even ... ok" }).waitFor();
  // A second in which nothing moves, so that durations and the timeline are drawn.
  await page.waitForTimeout(2_300);
  await page.screenshot({ path: PICTURE });

  const terminal = { columns: 80, rows: 24 };
  const shared = await server.session("anna");
  await server.submit(shared, "", { terminal, client: "picture" });
  const shell = await open(browser, at(server, shared), { ...look, viewport: { width: 1000, height: 620 } });
  const keys = shell.frameLocator("#inline iframe");
  await keys.getByText("Take control").click();
  await keys.getByText("You type here.").waitFor();
  await shell.keyboard.type(`cd ${crate}; vi -c 'set nocp nu hls ruler' -c '/rest' src/lib.rs\n`);
  await keys.locator(".xterm-rows", { hasText: "rounded half to even" }).waitFor();
  await shell.waitForTimeout(2_300);
  await shell.screenshot({ path: TERMINAL });
  const wrongs = [...page.wrongs, ...shell.wrongs];
  if (wrongs.length > 0) throw new Error(wrongs.join("\n"));
} finally {
  await browser.close();
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
}
