// The console below a path of another host: a real nginx in front of the server.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Server, launch, open } from "./server.mjs";

let server;
let proxy;
let browser;

before(async () => {
  server = await Server.start(
    { REJOIN_TRUSTED_PROXIES: "127.0.0.1", ENV: "", PS1: "$ " },
    { anna: "correct-horse" },
  );
  proxy = await Proxy.start(server.address);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await proxy?.stop();
  await server?.stop();
});

test("below a path, the console logs in, runs a command in a terminal, reloads and downloads", { timeout: 120_000 }, async () => {
  const page = await open(browser, `${proxy.address}/rejoin/`);
  await page.locator("#login[open]").waitFor();
  await page.getByLabel("Name").fill("anna");
  await page.getByLabel("Password").fill("correct-horse");
  await page.keyboard.press("Enter");
  await page.locator("#account", { hasText: "anna · admin" }).waitFor();
  const [cookie] = await page.context().cookies();
  assert.equal(cookie.path, "/rejoin");

  await page.locator("#create-shell").click();
  const terminal = page.frameLocator("#inline iframe");
  await terminal.getByText("You type here.").waitFor();
  await page.waitForFunction(() => document.activeElement.tagName === "IFRAME");
  await page.keyboard.type("echo $((6 * 7)) below a path\n");
  await page.keyboard.type("exit\n");
  await page.locator(".row.output", { hasText: /^42 below a path/ }).waitFor();

  assert.equal(new URL(page.url()).pathname, "/rejoin/");
  await page.reload();
  await page.locator(".row.output", { hasText: /^42 below a path/ }).waitFor();
  const session = new URLSearchParams(new URL(page.url()).hash.slice(1)).get("session");
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
  assert.equal(new URL(lost.url()).pathname, "/rejoin/");

  assert.deepEqual(page.wrongs, []);
  assert.deepEqual(await page.evaluate(() => window.violations), []);
  await page.context().close();
});

/** nginx, which has the server at /rejoin/ and takes that from the paths. */
class Proxy {
  #directory = mkdtempSync(join(tmpdir(), "rejoin-nginx-"));
  #process = null;
  address = "";

  static async start(upstream) {
    const proxy = new Proxy();
    // Somebody else may take the port in between.
    for (let attempt = 0; attempt < 10; attempt++) if (await proxy.#tried(upstream)) return proxy;
    throw new Error(`nginx did not start: ${readFileSync(join(proxy.#directory, "error.log"), "utf8")}`);
  }

  async #tried(upstream) {
    const port = await freePort();
    const at = this.#directory;
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${at}/${name};`);
    const config = `daemon off; master_process off; pid ${at}/pid; error_log ${at}/error.log;
      events {}
      http {
        access_log off; ${temporary.join(" ")}
        server {
          listen 127.0.0.1:${port};
          location /rejoin/ {
            proxy_pass ${upstream}/;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Prefix /rejoin;
          }
        }
      }`;
    writeFileSync(join(at, "nginx.conf"), config);
    const options = ["-e", join(at, "error.log"), "-c", join(at, "nginx.conf")];
    this.#process = spawn("nginx", options, { stdio: "ignore" });
    while (this.#process.exitCode === null) {
      if (await listens(port)) {
        this.address = `http://127.0.0.1:${port}`;
        return true;
      }
    }
    return false;
  }

  async stop() {
    if (this.#process.exitCode === null) {
      const ended = once(this.#process, "exit");
      this.#process.kill("SIGTERM");
      await ended;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function freePort() {
  return new Promise((resolve) => {
    const socket = createServer().listen(0, "127.0.0.1", () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

function listens(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const end = (is) => {
      socket.destroy();
      setTimeout(() => resolve(is), 20);
    };
    socket.on("connect", () => end(true));
    socket.on("error", () => end(false));
  });
}
