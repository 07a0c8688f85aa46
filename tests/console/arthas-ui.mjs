// The web UI of a real Arthas, in a real browser, with its requests going to Rejoin.
//
//     node arthas-ui.mjs REJOIN ARTHAS
//
// A proxy in front serves Arthas' own pages, and sends `/api` to Rejoin, as a reverse proxy would.
// Ends with 0 when the first page, the dashboard, shows what the JVM is.

import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { launch, open } from "./server.mjs";

const [rejoin, arthas] = process.argv.slice(2).map((address) => new URL(address));

const proxy = createServer((incoming, answer) => {
  const { hostname, port } = incoming.url.startsWith("/api") ? rejoin : arthas;
  const { url: path, method, headers } = incoming;
  const passed = request({ hostname, port, path, method, headers }, (received) => {
    answer.writeHead(received.statusCode, received.headers);
    received.pipe(answer);
  });
  passed.on("error", () => answer.destroy());
  incoming.pipe(passed);
});
await new Promise((listens) => proxy.listen(0, "127.0.0.1", listens));

const browser = await launch();
try {
  const page = await open(browser, `http://127.0.0.1:${proxy.address().port}/ui/`);
  await page.getByText(/javaVersion: \d+/).waitFor({ timeout: 40_000 });
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/arthas-ui.png` });
  assert.deepEqual(page.wrongs, [], "nothing went wrong in the page");
} finally {
  await browser.close();
  proxy.close();
  proxy.closeAllConnections();
}
