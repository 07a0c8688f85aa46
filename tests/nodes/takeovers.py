#!/usr/bin/env python3
"""How long a log is without a writer when its node, its host, or the leader of its stream dies or hangs.

    tests/nodes/takeovers.py target/release/rejoin [--times 10] [--root DIR]

For each way: from the blow to the first command that another node has acknowledged, as a client of that node
sees it, and the longest time that one `exec` took. Needs root.
"""

import argparse
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path

from hosts import Hosts, say
from hour import FAILED


def commands(node, session, results, is_over):
    """Runs one command after the other through one node: when each was begun and acknowledged."""
    turn = 0
    while not is_over.is_set():
        turn += 1
        begun = time.monotonic()
        body = {"statement": f"echo {turn}", "background": True, "request": f"{node.name}{begun}"}
        while not is_over.is_set():
            try:
                answer = node.ask("POST", f"/sessions/{session}/jobs", body, timeout=60)
            except FAILED:
                time.sleep(0.02)
                continue
            if answer.status == 201:
                break
            results.append(("refused", answer.status, answer.body))
            time.sleep(0.05)
        results.append((begun, time.monotonic(), turn))
        time.sleep(0.01)


def one(hosts, way):
    """Strikes the owner of log 0, or the leader of its stream. Seconds: until a command was acknowledged, the
    longest command, and the term afterwards."""
    victim = hosts.nodes[0]
    stream = "REJOIN-rejoin-0"
    leader = hosts.leader(stream)
    touched = [victim]
    if way == "kill -9 of the host":
        touched = [victim, hosts.servers[0]]
    elif way == "kill -9 of the host with the leader":
        hosts.wait("the leader is on the host", lambda: move_leader(hosts, stream, hosts.servers[0]), 300)
        touched = [victim, hosts.servers[0]]
    elif way == "kill -9 of the stream's leader":
        touched = [leader]
    session = victim.ask("POST", "/sessions", {}).json()["id"]
    observer = hosts.nodes[1] if leader is None or leader.index != 1 or victim in touched else hosts.nodes[2]
    results, is_over = [], threading.Event()
    thread = threading.Thread(target=commands, args=(observer, session, results, is_over), daemon=True)
    thread.start()
    hosts.wait("commands run", lambda: len(results) > 20)
    term = hosts.writers(observer)[0][1]
    struck = time.monotonic()
    for part in touched:
        part.stop() if way.startswith("SIGSTOP") else part.kill()
    # A command that was under way may still have been acknowledged by the one that dies.
    hosts.wait("commands run again", lambda: any(it[0] != "refused" and it[0] > struck for it in list(results)), 180)
    time.sleep(0.5)
    is_over.set()
    thread.join(60)
    done = [it for it in results if it[0] != "refused"]
    first = next(at for begun, at, _ in done if begun > struck)
    longest = max(at - begun for begun, at, _ in done)
    refused = sum(1 for it in results if it[0] == "refused")
    after = hosts.writers(observer).get(0, (None, 0))
    for part in touched:
        part.go_on() if way.startswith("SIGSTOP") else part.start()
    begun = time.monotonic()
    hosts.wait("it is as before", lambda: all(map(hosts.is_healthy, hosts.servers)) and all(
        hosts.is_ready(node) and hosts.writers(node).get(0, ("", 0))[0] == "n1" for node in hosts.nodes), 180, revives=True)
    back = time.monotonic() - begun
    return first - struck, longest, after[1] - term, refused, back


def move_leader(hosts, stream, wanted):
    """Restarts leaders until the wanted server leads."""
    leader = hosts.leader(stream)
    if leader is wanted:
        return True
    if leader:
        leader.kill()
        hosts.wait("another leads", lambda: hosts.leader(stream) not in (None, leader), 60)
        leader.start()
        hosts.wait("it is healthy", lambda: hosts.is_healthy(leader), 60)
        time.sleep(1)
    return hosts.leader(stream) is wanted


WAYS = ["kill -9 of the node", "SIGSTOP of the node", "kill -9 of the host", "kill -9 of the host with the leader",
        "kill -9 of the stream's leader"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rejoin")
    parser.add_argument("--nats", default="nats-server")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--root")
    settings = parser.parse_args()
    unknown = [way for way in settings.ways.split(",") if way not in WAYS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}. The ways are: {', '.join(WAYS)}")
    root = Path(settings.root or tempfile.mkdtemp(prefix="nodes", dir="target")).resolve()
    hosts = Hosts(root, settings.rejoin, settings.nats)
    try:
        hosts.make()
        hosts.start()
        found = {}
        for way in settings.ways.split(","):
            for _ in range(settings.times):
                took = one(hosts, way)
                say(f"{way}: answered after {took[0]:.2f} s, longest exec {took[1]:.2f} s, terms +{took[2]}, "
                    f"{took[3]} refused, as before {took[4]:.1f} s after it was back")
                found.setdefault(way, []).append(took)
        print("\n| | n | answered again after: median | worst | longest `exec` | terms | refused |\n| --- | --- | --- | --- | --- | --- | --- |")
        for way, all_took in found.items():
            first = [took[0] for took in all_took]
            print(f"| {way} | {len(first)} | {statistics.median(first):.1f} s | {max(first):.1f} s | "
                  f"{max(took[1] for took in all_took):.1f} s | {sum(took[2] for took in all_took)} | {sum(took[3] for took in all_took)} |")
    finally:
        hosts.close()
    if not settings.root:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
