// A real server with its log in a directory of its own, and a real browser.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BINARY = resolve(process.env.REJOIN_BINARY ?? join(ROOT, "target/release/rejoin"));
const BROWSER = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** A server. Killed, it starts again on the same log and address. */
export class Server {
  #directory = mkdtempSync(join(tmpdir(), "rejoin-console-"));
  #process = null;
  #environment = {};
  #listen = "127.0.0.1:0";
  address = "";

  /** A server that takes requests, with accounts (`{name: password}`, all of them admins) or none. */
  static async start(environment = {}, accounts = {}) {
    if (!existsSync(BINARY)) throw new Error(`no server at ${BINARY}: build it, or set REJOIN_BINARY`);
    const server = new Server();
    server.#environment = { ...process.env, ...environment };
    for (const [name, password] of Object.entries(accounts)) server.#addAccount(name, password);
    await server.restart();
    return server;
  }

  #addAccount(name, password) {
    const options = ["user", "add", name, "--role", "admin", "--password-stdin", "--data", this.#data];
    const added = spawnSync(BINARY, options, { input: password, encoding: "utf8" });
    if (added.status !== 0) throw new Error(added.stderr);
  }

  get #data() {
    return join(this.#directory, "data");
  }

  async restart() {
    const options = ["serve", "--listen", this.#listen, "--data", this.#data, "--log-level", "warn"];
    this.#process = spawn(BINARY, options, {
      cwd: this.#directory,
      env: this.#environment,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let told = "";
    for await (const part of this.#process.stdout) {
      told += part;
      if (told.includes("\n")) break;
    }
    [this.address] = /http:\/\/[^,\s]+/.exec(told) ?? [];
    if (!this.address) throw new Error(`the server did not begin: ${told}`);
    this.#listen = this.address.replace("http://", "");
  }

  /** Ends it as a power cut would. */
  async kill() {
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }

  async stop() {
    if (this.#process.exitCode === null) await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** Asks the API, as any other client would. */
  async ask(method, path, body) {
    const headers = { "content-type": "application/json" };
    const response = await fetch(this.address + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  /** A new session's name. */
  async session(user) {
    return (await this.ask("POST", "/sessions", user ? { user } : {})).id;
  }

  /** Runs a statement, and waits for its end. */
  async run(session, statement, options = {}) {
    const { job } = await this.submit(session, statement, options);
    for (let after = 0; ; ) {
      const read = await this.ask("GET", `/sessions/${session}/events?after=${after}&limit=10000&wait=10000`);
      if (read.events.some((event) => event.type === "job-finished" && event.job === job)) return job;
      after = read.after;
    }
  }

  submit(session, statement, options = {}) {
    return this.ask("POST", `/sessions/${session}/jobs`, { statement, ...options });
  }

  /** What the jobs of a session wrote, read from the log: text as it was written. */
  async said(session) {
    let text = "";
    for (let after = 0; ; ) {
      const read = await this.ask("GET", `/sessions/${session}/events?after=${after}&limit=10000`);
      if (read.events.length === 0) return text;
      for (const event of read.events) text += event.result?.content ?? "";
      after = read.after;
    }
  }
}

/** Debian's Chromium. It asks nobody but the server. */
export function launch() {
  return chromium.launch({
    executablePath: BROWSER,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** A window on the console, which notes everything that must not happen in it. */
export async function open(browser, address, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.wrongs = [];
  page.on("console", (said) => {
    const isExpected = /Failed to load resource|net::ERR/.test(said.text());
    if (said.type() === "error" && !isExpected) page.wrongs.push(said.text());
  });
  page.on("pageerror", (error) => page.wrongs.push(String(error.stack ?? error)));
  page.on("request", (request) => {
    const { hostname } = new URL(request.url());
    if (hostname !== "127.0.0.1") page.wrongs.push(`asked ${request.url()}`);
  });
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (it) => {
      window.violations.push(`${it.violatedDirective}: ${it.blockedURI}`);
    });
  });
  await page.goto(address);
  return page;
}

/** The address of a session's page. */
export const at = (server, session, more = "") => `${server.address}/#session=${session}${more}`;
