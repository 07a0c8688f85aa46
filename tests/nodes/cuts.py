#!/usr/bin/env python3
"""How soon a node that can reach only some servers of NATS is ready again, while the cut stays.

    tests/nodes/cuts.py target/release/rejoin [--times 3]

The node is connected to a server that hangs, that it is cut off from, or that is cut off from the other
servers; it can reach the other two all the time. Needs root.
"""

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from hosts import Hosts, say


def connected(hosts, node):
    """The server of NATS that a node is connected to."""
    done = subprocess.run(["ip", "netns", "exec", node.namespace, "cat", "/proc/net/tcp"], capture_output=True, text=True)
    for line in done.stdout.splitlines()[1:]:
        remote, state = line.split()[2:4]
        address, port = remote.split(":")
        if state == "01" and int(port, 16) == 4222:
            last = int(address[:2], 16)
            return next(it for it in hosts.servers if it.address.endswith(f".{last}"))
    return None


def one(hosts, way):
    node = hosts.nodes[0]
    hosts.wait("the node is connected", lambda: connected(hosts, node) is not None)
    server = connected(hosts, node)
    others = [it for it in hosts.servers if it is not server]
    pairs = []
    if way == "the server hangs":
        server.stop()
    elif way == "the node is cut off from it":
        pairs = [(node, server), (server, node)]
    else:
        pairs = [(a, b) for it in others for a, b in ((server, it), (it, server))]
    for pair in pairs:
        hosts.cut(*pair)
    begun = time.monotonic()
    worked = 0
    turns = 0
    # Three in a row, so that none is from before the cut.
    while worked < 3 and time.monotonic() < begun + 300:
        turns += 1
        try:
            answer = node.ask("POST", "/sessions", {"user": f"u{turns}"}, timeout=100)
        except OSError:
            answer = None
        worked = worked + 1 if answer and answer.status == 201 else 0
        if not worked:
            time.sleep(0.1)
    took = time.monotonic() - begun
    for pair in pairs:
        hosts.heal(*pair)
    server.go_on()
    hosts.wait("it is as before", lambda: all(map(hosts.is_healthy, hosts.servers)) and all(
        hosts.is_ready(it) and hosts.writers(it).get(0, ("", 0))[0] == "n1" for it in hosts.nodes), 300)
    return took


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rejoin")
    parser.add_argument("--nats", default="nats-server")
    parser.add_argument("--times", type=int, default=3)
    settings = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="nodes", dir="target")).resolve()
    hosts = Hosts(root, settings.rejoin, settings.nats)
    try:
        hosts.make()
        hosts.start()
        for way in ["the server hangs", "the node is cut off from it", "it is cut off from the other servers"]:
            took = [one(hosts, way) for _ in range(settings.times)]
            say(f"{way}: sessions can be created again after {statistics.median(took):.1f} s, at worst {max(took):.1f} s")
    finally:
        hosts.close()
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
