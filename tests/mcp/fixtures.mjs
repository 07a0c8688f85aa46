// A proxy in front of a real server, for the conformance suite: its scenarios for tasks call tools of
// its own (`greet`, `slow_compute`, `failing_job`). The proxy makes commands of them, and passes
// everything else on as it comes. So what is tested are the server's own tasks.
//
//     node fixtures.mjs http://127.0.0.1:8563/mcp     prints its own URL

import { createServer } from "node:http";

const target = process.argv[2];

const TOOLS = {
  greet: (args) => ({ command: `echo 'Hello, ${args.name ?? "world"}!'` }),
  slow_compute: (args) => ({ command: `sleep ${Number(args.seconds ?? 1)}; echo computed`, wait_ms: 0 }),
  failing_job: () => ({ command: "sleep 0.2; echo failed; exit 1", wait_ms: 0 }),
};

const server = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  let body = Buffer.concat(parts).toString();
  const headers = { ...request.headers };
  for (const name of ["host", "connection", "content-length", "transfer-encoding"]) delete headers[name];
  const message = parsed(body);
  const tool = message?.method === "tools/call" ? TOOLS[message.params?.name] : undefined;
  if (tool) {
    // A header that is wrong stays wrong.
    if (headers["mcp-name"]?.trim() === message.params.name) headers["mcp-name"] = "run";
    message.params = { ...message.params, name: "run", arguments: tool(message.params.arguments ?? {}) };
    body = JSON.stringify(message);
  }
  const answer = await fetch(target, { method: request.method, headers, body: body || undefined });
  let text = await answer.text();
  if (message?.method === "tools/list" && answer.status === 200) {
    const listed = parsed(text);
    for (const name of Object.keys(TOOLS)) listed.result?.tools.push({ name, inputSchema: { type: "object" } });
    text = JSON.stringify(listed);
  }
  response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "text/plain" });
  response.end(text);
});

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/mcp`));
