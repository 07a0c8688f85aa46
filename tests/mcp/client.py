"""An agent's session with the official client: over HTTP in both revisions, and over `rejoin mcp`.

    client.py BINARY URL
"""

import asyncio
import sys

from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters

LINES = 30_000


async def session(server, mode: str) -> str:
    async with Client(server, mode=mode, read_timeout_seconds=60) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert names == ["run", "read", "write", "interrupt", "list", "search", "screen"], names

        async def call(tool: str, **arguments):
            result = await client.call_tool(tool, arguments)
            # The client has checked it against the schema of the tool.
            return result, result.structured_content

        result, structured = await call("run", command="echo hello; exit 3")
        assert result.is_error and structured["exit_status"] == 3, result
        assert result.content[0].text.startswith("hello\n"), result

        # Long output is read in pieces that make the whole, and a call waits for what is to come.
        command = f"seq {LINES}; sleep 1; echo end"
        result, structured = await call("run", command=command, session=structured["session"], wait_ms=0, key="k")
        handle = {"session": structured["session"], "job": structured["job"]}
        assert structured["state"] == "running" and structured["exit_status"] is None, structured
        output, after = "", "0"
        while structured["state"] != "finished" or structured["more"]:
            _, structured = await call("read", **handle, after=after, wait_ms=20_000, max_bytes=50_000)
            output, after = output + structured["output"], structured["after"]
        assert output == "".join(f"{line}\n" for line in range(1, LINES + 1)) + "end\n"
        assert structured["exit_status"] == 0, structured
        _, again = await call("run", command=command, session=handle["session"], key="k")
        assert again["job"] == handle["job"], "the same key is the same job"

        _, found = await call("search", session=handle["session"], text="2999")
        assert found["matches"][0]["line"] == "2999", found
        resources = (await client.list_resources()).resources
        read = await client.read_resource(resources[0].uri)
        assert "[job" in read.contents[0].text, read
        assert len((await client.list_resource_templates()).resource_templates) == 1
        return client.protocol_version


async def main() -> None:
    binary, url = sys.argv[1:]
    server = url.removesuffix("/mcp")
    bridge = StdioServerParameters(command=binary, args=["mcp", "--server", server])
    for name, where in [("HTTP", url), ("rejoin mcp", bridge)]:
        for mode, wanted in [("legacy", "2025-11-25"), ("auto", "2026-07-28")]:
            version = await session(where, mode)
            assert version == wanted, (name, mode, version)
            print(f"{name}, {version}: ok")


asyncio.run(main())
