#!/usr/bin/env python3
"""Races for one log on three servers of NATS: two writers after the same message, and ten that take it from each
other without a lease while the servers die. Then the same bytes with and without Rejoin's adapter, in turns.

    cargo build --release -p rejoin-log-jetstream --example stream
    tests/nodes/race.py target/release/examples/stream race 10000
    tests/nodes/race.py target/release/examples/stream takers 180
    tests/nodes/race.py target/release/examples/stream beside 5

Each count is rounds, seconds, rounds. Needs root.
"""

import argparse
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from hosts import Hosts, say


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stream")
    parser.add_argument("what", choices=["race", "takers", "beside"])
    parser.add_argument("count", type=int)
    parser.add_argument("--nats", default="nats-server")
    parser.add_argument("--seed", type=int, default=1)
    settings = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="nodes", dir="target")).resolve()
    hosts = Hosts(root, settings.stream, settings.nats)
    draw = random.Random(settings.seed)
    try:
        hosts.make()
        for server in hosts.servers:
            server.start()
        hosts.wait("the servers are healthy", lambda: all(map(hosts.is_healthy, hosts.servers)), 30)
        command = ["ip", "netns", "exec", hosts.nodes[0].namespace, hosts.rejoin, settings.what,
                   ",".join(f"nats://{server.address}:4222" for server in hosts.servers),
                   ",".join(f"{server.address}:8222" for server in hosts.servers),
                   str(root / "copies"), str(settings.count)]
        running = subprocess.Popen(command)
        try:
            turn = 0
            end = time.monotonic() + settings.count - 15
            while running.poll() is None:
                time.sleep(0.2)
                # The last seconds are calm, so that all can be read.
                if settings.what == "takers" and time.monotonic() < end - 20:
                    time.sleep(draw.uniform(6, 12))
                    leader = hosts.leader("REJOIN-takers-0")
                    if leader is None or running.poll() is not None:
                        continue
                    turn += 1
                    lasts = draw.uniform(2, 12)
                    if turn % 2:
                        say(f"kill -9 of the leader {leader.name} for {lasts:.1f} s")
                        leader.kill()
                        time.sleep(lasts)
                        leader.start()
                    else:
                        say(f"SIGSTOP of the leader {leader.name} for {lasts:.1f} s")
                        leader.stop()
                        time.sleep(lasts)
                        leader.go_on()
        finally:
            if running.poll() is None:
                running.kill()
        raise SystemExit(running.returncode)
    finally:
        hosts.close()
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
