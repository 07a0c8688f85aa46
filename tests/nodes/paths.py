#!/usr/bin/env python3
"""How long a command takes from `exec` to its result, through the node that runs it, through another one, and at a
server that is alone; and how much memory idle sessions cost on each of three nodes and alone.

    tests/nodes/paths.py target/release/rejoin [--rounds 5] [--commands 100] [--sessions 10000]

In turns on one machine; ratios are within a round. Needs root.
"""

import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from hosts import PORT, Hosts, Part, quantile, say


class Client:
    """One connection that is kept."""

    def __init__(self, node):
        self.connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        self.connection.sock = node.connect(60)

    def ask(self, path, body):
        self.connection.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 201):
            raise SystemExit(f"{answer.status}: {text[:300]}")
        return json.loads(text)


class Alone(Part):
    """A server of Rejoin that is no node, on the first host's network."""

    def __init__(self, hosts):
        super().__init__(hosts, "n", 0)
        self.namespace, self.name = f"{hosts.tag}alone", "alone"

    def command(self):
        return [self.hosts.rejoin, "serve", "--listen", f"127.0.0.1:{PORT}", "--data", str(self.hosts.root / "alone")]

    def start(self):
        with open(self.hosts.root / "alone.log", "ab") as log:
            self.process = subprocess.Popen(["ip", "netns", "exec", self.namespace, *self.command()],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def times(node, session, count):
    """Milliseconds from the first byte of `exec` to the job's end in a pull, and of `exec` alone."""
    client = Client(node)
    consumer = client.ask("/api", {"action": "join_session", "sessionId": session})["consumerId"]
    accepted, whole = [], []
    for turn in range(count):
        begun = time.monotonic()
        answer = client.ask("/api", {"action": "async_exec", "sessionId": session, "command": f"echo {turn}"})
        accepted.append((time.monotonic() - begun) * 1e3)
        job = answer["body"]["jobId"]
        is_over = False
        while not is_over:
            pulled = client.ask("/api", {"action": "pull_results", "sessionId": session, "consumerId": consumer})
            is_over = any(it["type"] == "status" and it["jobId"] == job for it in pulled["body"]["results"])
        whole.append((time.monotonic() - begun) * 1e3)
    return accepted, whole


def rate(node, sessions, seconds=3.0, writers=16):
    """Commands a second that several clients get acknowledged, each in a session of its own."""
    done, end = [0] * writers, time.monotonic() + seconds

    def write(number):
        client = Client(node)
        turn = 0
        while time.monotonic() < end:
            turn += 1
            client.ask(f"/sessions/{sessions[number]}/jobs", {"statement": ":", "background": True})
            done[number] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / seconds


def resident(process):
    """Megabytes."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def fill(node, count):
    client = Client(node)
    for _ in range(count):
        client.ask("/sessions", {})


def fill_all(pairs):
    threads = [threading.Thread(target=fill, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rejoin")
    parser.add_argument("--nats", default="nats-server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--commands", type=int, default=100)
    parser.add_argument("--sessions", type=int, default=10_000)
    settings = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="nodes", dir="target")).resolve()
    hosts = Hosts(root, settings.rejoin, settings.nats)
    alone = Alone(hosts)
    try:
        hosts.make()
        subprocess.run(["ip", "netns", "add", alone.namespace], check=True)
        subprocess.run(["ip", "-n", alone.namespace, "link", "set", "lo", "up"], check=True)
        alone.fd = os.open(f"/run/netns/{alone.namespace}", os.O_RDONLY)
        hosts.start()
        alone.start()
        hosts.wait("the server is ready", lambda: hosts.is_ready(alone))
        owner, other = hosts.nodes[:2]
        session = owner.ask("POST", "/sessions", {}).json()["id"]
        single = alone.ask("POST", "/sessions", {}).json()["id"]
        ways = {"alone": (alone, single), "the owner": (owner, session), "another node": (other, session)}
        found = {way: ([], []) for way in ways}
        ratios = {way: [] for way in ways}
        rates = {way: [] for way in ways}
        sixteen = {"alone": [alone.ask("POST", "/sessions", {}).json()["id"] for _ in range(16)]}
        sixteen["the owner"] = sixteen["another node"] = [owner.ask("POST", "/sessions", {}).json()["id"] for _ in range(16)]
        for turn in range(settings.rounds):
            medians = {}
            for way, (node, of) in ways.items():
                accepted, whole = times(node, of, settings.commands)
                found[way][0].extend(accepted)
                found[way][1].extend(whole)
                medians[way] = statistics.median(whole)
                rates[way].append(rate(node, sixteen[way]))
            for way in ways:
                ratios[way].append(medians[way] / medians["alone"])
            say(f"round {turn + 1}: " + ", ".join(f"{way} {median:.1f} ms" for way, median in medians.items()),
                "load", Path("/proc/loadavg").read_text().split()[0])
        print("\n| through | `exec` p50 / p99 ms | `exec` to result p50 / p99 ms | beside alone | commands/s, 16 clients |\n| --- | --- | --- | --- | --- |")
        for way, (accepted, whole) in found.items():
            print(f"| {way} | {quantile(accepted, 0.5):.1f} / {quantile(accepted, 0.99):.1f} | {quantile(whole, 0.5):.1f} / "
                  f"{quantile(whole, 0.99):.1f} | {statistics.median(ratios[way]):.2f} | {statistics.median(rates[way]):.0f} |")
        if settings.sessions:
            before = [resident(node.process) for node in [alone, *hosts.nodes]]
            each = settings.sessions // 3
            fill_all([(node, each) for node in hosts.nodes])
            fill_all([(alone, settings.sessions // 4)] * 4)
            hosts.wait("all nodes have all sessions", lambda: len({json.dumps([(log["log"], log["records"]) for log in node.ask("GET", "/cluster").json()["logs"]]) for node in hosts.nodes}) == 1)
            time.sleep(3)
            after = [resident(node.process) for node in [alone, *hosts.nodes]]
            nats = [resident(server.process) for server in hosts.servers]
            print("\nMB resident before → after", settings.sessions, "idle sessions: alone",
                  f"{before[0]:.1f} → {after[0]:.1f};", "nodes",
                  ", ".join(f"{a:.1f} → {b:.1f}" for a, b in zip(before[1:], after[1:])) + ";",
                  "servers of NATS", ", ".join(f"{it:.0f}" for it in nats))
    finally:
        alone.kill()
        for process in alone.processes():
            os.kill(process, 9)
        hosts.close()
        subprocess.run(["ip", "netns", "del", alone.namespace])
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
