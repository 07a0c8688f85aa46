// Starts a real server on a temporary directory, and a real browser.

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

/** A server that can be killed and restarted on the same log and address. */
export class Server {
  #directory = mkdtempSync(join(tmpdir(), "rejoin-console-"));
  #process = null;
  #environment = {};
  #listen = "127.0.0.1:0";
  address = "";

  /** Starts a server, with accounts (`{name: password}`, or `{name: "password:role"}`) or without. */
  static async start(environment = {}, accounts = {}) {
    if (!existsSync(BINARY)) throw new Error(`no server at ${BINARY}: build it, or set REJOIN_BINARY`);
    const server = new Server();
    server.#environment = { ...process.env, ...environment };
    for (const [name, password] of Object.entries(accounts)) server.#addAccount(name, password);
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

  async restart() {
    const options = ["serve", "--listen", this.#listen, "--data", this.#data, "--log-level", "warn"];
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
    [this.address] = /http:\/\/[^,\s]+/.exec(output) ?? [];
    if (!this.address) throw new Error(`the server did not start: ${output}`);
    this.#listen = this.address.replace("http://", "");
  }

  /** Kills the server without a shutdown. */
  async kill() {
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }

  /** Ends the server and its jobs. */
  async stop() {
    if (this.#process.exitCode === null) {
      const ended = once(this.#process, "exit");
      this.#process.kill("SIGTERM");
      await ended;
    }
    rmSync(this.#directory, { recursive: true, force: true });
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

/** Starts Debian's Chromium, without its background requests. */
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

/**
 * Opens a window. Errors and requests to other hosts are collected in `page.wrongs`. `SLOWER=8` makes
 * pages eight times slower, which shows what a test doesn't wait for.
 */
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
  if (process.env.SLOWER) {
    const developer = await context.newCDPSession(page);
    await developer.send("Emulation.setCPUThrottlingRate", { rate: Number(process.env.SLOWER) });
  }
  await page.goto(address);
  return page;
}

/** The address of a session's page. */
export const at = (server, session, more = "") => `${server.address}/#session=${session}${more}`;
