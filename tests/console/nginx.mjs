// A real nginx in front of a server, below a path of another host.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { anyPort } from "./server.mjs";

/** nginx, which has the server at /rejoin/ and takes that from the paths. */
export class Proxy {
  #directory = mkdtempSync(join(tmpdir(), "rejoin-nginx-"));
  #process = null;
  address = "";

  static async start(upstream) {
    const proxy = new Proxy();
    // Somebody else may have the port.
    for (let attempt = 0; attempt < 10; attempt++) if (await proxy.#tried(upstream)) return proxy;
    throw new Error(`nginx did not start: ${readFileSync(join(proxy.#directory, "error.log"), "utf8")}`);
  }

  async #tried(upstream) {
    const port = anyPort();
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
    const address = `http://127.0.0.1:${port}`;
    while (this.#process.exitCode === null) {
      // Rejoin answers below the path, and so it is this nginx that has the port.
      const answer = await fetch(`${address}/rejoin/me`).catch(() => null);
      if (answer?.status === 401) {
        this.address = address;
        return true;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
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
