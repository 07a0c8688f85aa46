// Starts a real server on a temporary directory, and a real browser: for picture.mjs and arthas-ui.mjs as they
// want them, and for a file of tests as `stage` does it.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, afterEach, beforeEach } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { PATIENCE } from "./page.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BINARY = resolve(process.env.REJOIN_BINARY ?? join(ROOT, "target/release/rejoin"));
const BROWSER = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** A server that can be killed and restarted on the same log and address. */
export class Server {
  #directory = mkdtempSync(join(tmpdir(), "rejoin-console-"));
  #process = null;
  #environment;
  #port = 0;
  address = "";

  /** A server with accounts (`{name: password}`, or `{name: "password:role"}`) or without; not started yet. */
  constructor(environment = {}, accounts = {}) {
    if (!existsSync(BINARY)) throw new Error(`no server at ${BINARY}: build it, or set REJOIN_BINARY`);
    this.#environment = { ...process.env, ...environment };
    for (const [name, password] of Object.entries(accounts)) this.#addAccount(name, password);
  }

  static async start(environment, accounts) {
    const server = new Server(environment, accounts);
    await server.restart();
    return server;
  }

  #addAccount(name, account) {
    const [password, role = "admin"] = account.split(":");
    const options = ["user", "add", name, "--role", role, "--password-stdin", "--data", this.#data];
    const added = spawnSync(BINARY, options, { input: password, encoding: "utf8" });
    if (added.status !== 0) throw new Error(added.stderr);
  }

  /** Where the server and its jobs begin. */
  get directory() {
    return this.#directory;
  }

  get #data() {
    return join(this.#directory, "data");
  }

  /** Starts the server: for the first time, or again at the same address. */
  async restart() {
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const port = this.#port || anyPort();
      if (await this.#begin(port)) {
        this.#port = port;
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error("the server did not start");
  }

  async #begin(port) {
    const options = ["serve", "--listen", `127.0.0.1:${port}`, "--data", this.#data, "--log-level", "warn"];
    this.#process = spawn(BINARY, options, {
      cwd: this.#directory,
      env: this.#environment,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    for await (const part of this.#process.stdout) {
      output += part;
      if (output.includes("\n")) break;
    }
    const [address] = /http:\/\/[^,\s]+/.exec(output) ?? [];
    this.address = address ?? this.address;
    return address !== undefined;
  }

  /** Kills the server without a shutdown. */
  async kill() {
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }

  /** Ends the server and its jobs. */
  async stop() {
    if (this.#process && this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = once(this.#process, "exit");
      this.#process.kill("SIGTERM");
      const late = setTimeout(() => this.#process.kill("SIGKILL"), PATIENCE);
      await ended;
      clearTimeout(late);
    }
    // The last of its jobs may still be writing something.
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 50, retryDelay: 100 });
  }

  /** Sends a request to the API. */
  async ask(method, path, body) {
    const headers = { "content-type": "application/json" };
    const response = await fetch(this.address + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  /** Creates a session, and returns its id. */
  async session(user) {
    return (await this.ask("POST", "/sessions", user ? { user } : {})).id;
  }

  /** Runs a command, and waits until it has finished. */
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

  /**
   * Runs commands one after the other as one job, and gives the results' events: the output of each command
   * is in an event of its own, because the next one begins when that is in the log.
   */
  async steps(session, commands, options = {}) {
    const gate = (at) => `${session}-${at}`;
    const statement = commands.map((command, at) => `${command}; ${waitsFor(gate(at))}`).join("; ");
    const { job } = await this.submit(session, statement, options);
    let results = [];
    for (let after = 0, at = 0; ; ) {
      const read = await this.ask("GET", `/sessions/${session}/events?after=${after}&limit=10000&wait=10000`);
      after = read.after;
      const ofJob = read.events.filter((event) => event.job === job);
      results = results.concat(ofJob.filter((event) => event.type === "result"));
      while (at < Math.min(results.length, commands.length)) this.allow(gate(at++));
      if (ofJob.some((event) => event.type === "job-finished")) return results;
    }
  }

  /** Lets the commands go on that wait for this, as `waitsFor` says. */
  allow(name) {
    writeFileSync(join(this.#directory, name), "");
  }

  /** The output of all jobs of a session, read from the log. */
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

/** A command that runs until the server is asked to `allow` this. */
export const waitsFor = (name) => `until [ -e ${name} ]; do sleep 0.05; done`;

/** A port that is probably free, and that the system does not give to the connections of a browser. */
export const anyPort = () => 10_000 + Math.floor(Math.random() * 20_000);

/** Starts Debian's Chromium, without its background requests. */
export function launch() {
  return chromium.launch({
    executablePath: BROWSER,
    timeout: PATIENCE,
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

/**
 * Opens a window. Errors, violations of its policy and requests to other hosts are collected in
 * `page.wrongs`. `SLOWER=8` makes pages eight times slower, which shows what a test doesn't wait for.
 */
export async function open(browser, address, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  // For all of its windows, also those that the page opens.
  context.setDefaultTimeout(PATIENCE);
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
  // The page says so itself: it cannot be asked while it is being loaded again.
  await page.exposeBinding("violated", (_, what) => page.wrongs.push(what));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (it) => {
      window.violated(`violated ${it.violatedDirective}: ${it.blockedURI}`);
    });
  });
  if (process.env.SLOWER) {
    const developer = await context.newCDPSession(page);
    await developer.send("Emulation.setCPUThrottlingRate", { rate: Number(process.env.SLOWER) });
  }
  await page.goto(address);
  return page;
}

/**
 * What a file of tests needs: a server and a browser, which are there while its tests run. After each test
 * its windows are closed, its other servers end, and anything that went wrong in a window fails it.
 *
 * - `server` is the server, with this environment and these accounts.
 * - `view(address, options)` opens a window.
 * - `close(page)` closes one before its test ends.
 * - `another(accounts)` starts another server.
 */
export function stage(environment, accounts) {
  const server = new Server(environment, accounts);
  let browser = null;
  let pages = [];
  let others = [];
  const wrongs = [];

  async function close(page) {
    pages = pages.filter((it) => it !== page);
    // What went wrong in the page until now has been said after this.
    await page.evaluate(() => null).catch(() => {});
    await page.unrouteAll({ behavior: "ignoreErrors" });
    await page.context().close();
    wrongs.push(...page.wrongs);
  }

  let begun = null;
  const begin = async () => {
    await server.restart();
    browser = await launch();
  };
  beforeEach(() => (begun ??= begin()));

  after(async () => {
    await browser?.close();
    await server.stop();
  });

  afterEach(async () => {
    for (const page of pages) await close(page);
    for (const other of others) await other.stop();
    others = [];
    assert.deepEqual(wrongs.splice(0), [], "nothing went wrong in a window");
  });

  return {
    server,
    close,

    async view(address, options = {}) {
      const page = await open(browser, address, { permissions: ["clipboard-read", "clipboard-write"], ...options });
      pages.push(page);
      return page;
    },

    async another(accounts) {
      const other = new Server({}, accounts);
      others.push(other);
      await other.restart();
      return other;
    },
  };
}

/** The address of a session's page. */
export const at = (server, session, more = "") => `${server.address}/#session=${session}${more}`;
