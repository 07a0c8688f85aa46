#!/usr/bin/env python3
"""One bit of one replica of a log is flipped; then that replica leads, and a node that has lost its directory
reads the log again.

    tests/nodes/flipped.py target/release/rejoin

The node must name the damage, get the message from another replica, and never skip it. With `--all`, the same
bit of all replicas is flipped: then the node must refuse, and those that have copies go on. Needs root.
"""

import argparse
import json
import re
import shutil
import socket
import tempfile
from pathlib import Path

from hosts import Hosts, inside, say
from hour import events_of
from takeovers import move_leader

STREAM = "REJOIN-rejoin-0"
# Each time another replica may be read.
ROUNDS = 12
MARK = b"the-one-that-is-hit"


def flip(hosts, server):
    """Flips a bit of the marked message in a server that does not run."""
    store = hosts.stores[server.index] / "js"
    for block in sorted(store.rglob("*.blk")):
        if f"/{STREAM}/" not in str(block):
            continue
        found = bytearray(block.read_bytes())
        at = found.find(MARK)
        if at >= 0:
            found[at] ^= 1
            block.write_bytes(found)
            say(f"flipped a bit at byte {at} of {block.relative_to(hosts.root)}")
            return
    raise SystemExit("the message is not there")


def lost(server):
    """Which messages the server, as the stream's leader, says that it does not have."""
    with inside(server.fd):
        connection = socket.create_connection((server.address, 4222), 10)
    lines = connection.makefile("rwb")

    def ask(subject, body):
        lines.write(f"PUB {subject} _INBOX.flipped {len(body)}\r\n{body}\r\n".encode())
        lines.flush()
        while True:
            line = lines.readline()
            if line.startswith(b"PING"):
                lines.write(b"PONG\r\n")
                lines.flush()
            if line.startswith(b"MSG "):
                return json.loads(lines.read(int(line.split()[-1]) + 2))

    lines.write(b'CONNECT {"verbose":false,"pedantic":false}\r\nSUB _INBOX.flipped 1\r\n')
    last = ask(f"$JS.API.STREAM.INFO.{STREAM}", "")["state"]["last_seq"]
    asked = {number: ask(f"$JS.API.STREAM.MSG.GET.{STREAM}", json.dumps({"seq": number})) for number in range(1, last + 1)}
    connection.close()
    return [number for number, answer in asked.items() if "error" in answer]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rejoin")
    parser.add_argument("--nats", default="nats-server")
    parser.add_argument("--all", action="store_true")
    settings = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="nodes", dir="target")).resolve()
    hosts = Hosts(root, settings.rejoin, settings.nats)
    is_good = False
    try:
        hosts.make()
        hosts.start()
        one, two, three = hosts.nodes
        session = one.ask("POST", "/sessions", {}).json()["id"]
        for turn in range(200):
            text = MARK.decode() if turn == 100 else f"turn {turn}"
            body = {"statement": f"echo {text}", "background": True}
            assert one.ask("POST", f"/sessions/{session}/jobs", body).status == 201
        hosts.wait("all jobs have ended", lambda: sum(e["type"] == "job-finished" for e in events_of(one, session)) == 200)
        expected = events_of(one, session)
        hosts.wait("all nodes have them", lambda: events_of(three, session) == expected)
        say(f"{len(expected)} events")

        three.end()
        shutil.rmtree(hosts.stores[2] / "data")
        hit = hosts.servers if settings.all else [hosts.servers[1]]
        for server in hit:
            server.end()
            flip(hosts, server)
            server.start()
            hosts.wait(f"{server.name} is healthy", lambda server=server: hosts.is_healthy(server))
        hosts.wait("the damaged replica leads", lambda: move_leader(hosts, STREAM, hosts.servers[1]), 300)
        say(f"the damaged replica leads, and does not have the messages {lost(hosts.servers[1])}; node n3 starts with nothing")
        # A server that has a replica reads that one for its own clients.
        hosts.known[2] = [hosts.servers[1]]
        three.start()
        log = hosts.root / "n3.log"

        def words():
            text = log.read_text(errors="replace").split("--- start 1", 1)[-1]
            return [line for line in text.splitlines() if re.search("damaged at|lost a message", line)]

        if settings.all:
            hosts.wait("node n3 names the damage", lambda: bool(words()), 120)
            for line in words()[:5]:
                print("  ", line[:400])
            say("nodes with copies:", [events_of(node, session) == expected for node in (one, two)])
            answer = three.ask("GET", f"/sessions/{session}") if three.is_running() else None
            say("node n3 says:", (answer.status, answer.body[:300]) if answer else f"it has ended with {three.process.poll()}")
            is_good = answer is None or answer.status == 503
            body = {"statement": "echo on", "background": True}
            say("a command at n2:", two.ask("POST", f"/sessions/{session}/jobs", body).status)
        else:
            # Which replica answers is chosen by the servers.
            wrong = named = 0
            for turn in range(ROUNDS):
                hosts.wait("node n3 is ready", lambda: hosts.is_ready(three))
                wrong += events_of(three, session) != expected
                named = len(words())
                three.end()
                shutil.rmtree(hosts.stores[2] / "data")
                three.start()
            say(f"read {ROUNDS} times by node n3: {ROUNDS - wrong} times as it was written, and {named} lines name it:")
            for line in words()[:3]:
                print("  ", line[:400])
            is_good = not wrong and named > 0
    finally:
        hosts.close()
    if not is_good:
        say("files are kept in", root)
        raise SystemExit(1)
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
