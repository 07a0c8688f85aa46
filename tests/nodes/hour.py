#!/usr/bin/env python3
"""Kills, stops and cuts apart three nodes and their three servers of NATS, under load, and holds what every
client got against what the nodes have afterwards.

    tests/nodes/hour.py target/release/rejoin [--minutes 5] [--seed 1] [--tracks 6] [--root DIR]

Exits with 1 if anything that was acknowledged is missing, twice or in another order; if a reader missed or
got twice a single event; if something that exists was said not to; if the nodes differ; if a log had two
writers in one term; or if a process is left over. Needs root.
"""

import argparse
import collections
import http.client
import json
import random
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from hosts import Hosts, quantile, say

FAILED = (OSError, http.client.HTTPException)
# Longer than all that is done to the hosts, and what comes after it.
PATIENCE = 180.0


class History:
    """What is wrong, and what was counted, by all threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.faults = []
        self.counts = collections.Counter()
        self.latencies = collections.defaultdict(list)
        self.acknowledged = []

    def fault(self, *words):
        text = " ".join(map(str, words))
        with self.lock:
            self.faults.append(f"{time.strftime('%H:%M:%S')} {text}")
        say("FAULT:", text)

    def count(self, what, by=1):
        with self.lock:
            self.counts[what] += by

    def took(self, what, seconds):
        with self.lock:
            self.latencies[what].append(seconds)
            self.acknowledged.append(time.monotonic())


class Run:
    def __init__(self, hosts, seed, tracks):
        self.hosts, self.history, self.wanted = hosts, History(), tracks
        self.seed = seed
        self.is_over = threading.Event()
        self.tracks = []
        self.terms = {}
        self.seen = {}

    def node(self, draw):
        """A node that a load balancer would choose: neither dead nor hanging."""
        up = [node for node in self.hosts.nodes if node.is_running()]
        return draw.choice(up or self.hosts.nodes)

    def watch(self):
        """Terms grow, and no term has two writers."""
        while not self.is_over.is_set():
            for node in self.hosts.nodes:
                if not node.is_running():
                    continue
                for log, (writer, term) in self.hosts.writers(node).items():
                    start = node.starts
                    before = self.seen.get((node.name, start, log), 0)
                    if term < before:
                        self.history.fault(f"log {log} went from term {before} to {term} at {node.name}")
                    self.seen[(node.name, start, log)] = term
                    known = self.terms.setdefault((log, term), writer)
                    if known != writer:
                        self.history.fault(f"log {log} has two writers in term {term}: {known}, {writer}")
            time.sleep(1)


class Track:
    """A session, those who use it, and what they got."""

    def __init__(self, run, number):
        self.run, self.history, self.number = run, run.history, number
        self.draw = random.Random(f"{run.seed}/{number}")
        self.accepted = {}
        self.unknown = set()
        self.inputs = {}
        self.events = {}
        self.pulled = []
        self.is_closed = self.is_over = self.is_checked = self.is_pulled = False
        self.is_retired = self.is_closing = False
        self.over_since = None
        self.effects = run.hosts.root / f"effects{number}"
        self.session = None
        self.threads = []

    def begin(self):
        while not self.run.is_over.is_set():
            node = self.run.node(self.draw)
            try:
                answer = node.ask("POST", "/sessions", {}, timeout=20)
            except FAILED:
                continue
            if answer.status == 201:
                self.session = answer.json()["id"]
                break
            if answer.status not in (503, 429):
                self.history.fault("a session could not be made:", answer.status, answer.body[:300])
            time.sleep(0.3)
        if self.session:
            for work in (self.submit, self.read, self.pull):
                thread = threading.Thread(target=self.guarded, args=(work, random.Random(f"{self.run.seed}/{self.number}/{work.__name__}")), daemon=True)
                thread.start()
                self.threads.append(thread)
        return self

    def guarded(self, work, draw):
        try:
            work(draw)
        except Exception as error:  # noqa: BLE001: a thread that ends by itself would check nothing
            self.history.fault("the test itself failed:", work.__name__, repr(error))

    def ask(self, draw, method, path, body, what, allowed, timeout=25.0, retry=True):
        """Asks until there is an answer other than "try again". None: there was none in time."""
        begun, tries = time.monotonic(), 0
        while time.monotonic() < begun + PATIENCE:
            node = self.run.node(draw)
            tries += 1
            try:
                answer = node.ask(method, path, body, timeout=timeout)
            except FAILED:
                self.history.count(f"{what}: no answer")
                if not retry:
                    return None
                time.sleep(0.1)
                continue
            if answer.status in (503, 429):
                self.history.count(f"{what}: {answer.status}")
                if not retry:
                    return answer
                time.sleep(0.2)
                continue
            # A job that has ended is not found there.
            is_over = what in ("interrupt", "input") and b"is running in this session" in answer.body
            if answer.status not in allowed and not is_over and not (tries > 1 and answer.status in (404, 409, 410) and what == "close"):
                self.history.fault(f"{what} through {node.name}: {answer.status}", path, answer.body[:300])
                if answer.status in (404, 410):
                    time.sleep(0.3)
                    continue
            self.history.took(what, time.monotonic() - begun)
            return answer
        self.history.fault(f"{what}: not answered in {PATIENCE:.0f} s", path)
        return None

    def job(self, draw, statement, **more):
        name = f"{self.number}-{len(self.accepted) + len(self.unknown)}"
        body = {"statement": statement, "background": True, "request": name, **more}
        answer = self.ask(draw, "POST", f"/sessions/{self.session}/jobs", body, "exec", (201,))
        if answer is None or answer.status != 201:
            self.unknown.add(statement)
            return None
        job = answer.json()["job"]
        self.accepted[statement] = job
        return job

    def submit(self, draw):
        turn, until = 0, time.monotonic() + draw.uniform(40, 150)
        while time.monotonic() < until and not self.run.is_over.is_set():
            turn += 1
            kind = draw.randrange(10)
            mark = f"{self.number}.{turn}"
            if kind < 4:
                self.job(draw, f"echo {mark} >> {self.effects}; echo {mark}")
            elif kind < 6:
                self.job(draw, f": {mark}; seq {turn}000 {turn}400")
            elif kind < 7:
                self.job(draw, f": {mark}; echo begun; sleep {draw.uniform(0.1, 8):.1f}; echo ended")
            elif kind < 8:
                self.type(draw, mark)
            elif kind < 9:
                self.interrupt(draw, mark)
            else:
                self.job(draw, f": {mark}; echo failing >&2; false")
            time.sleep(draw.uniform(0.05, 0.5))
        if draw.random() < 0.5:
            self.is_closing = True
            answer = self.ask(draw, "DELETE", f"/sessions/{self.session}", None, "close", (204,))
            self.is_closed = answer is not None
        self.over_since = time.monotonic()
        self.is_over = True

    def retire(self):
        """Its readers stop, so that many sessions don't mean many readers."""
        self.is_retired = self.is_checked = self.is_pulled = True

    def type(self, draw, mark):
        job = self.job(draw, f": {mark}; while read -r x; do echo got $x; done", input=True)
        if job is None:
            return
        path = f"/sessions/{self.session}/jobs/{job}/input"
        for line in range(draw.randrange(1, 6)):
            text = f"{mark}.{line}"
            # Not repeated: input has no name.
            answer = self.ask(draw, "POST", path, f"{text}\n".encode(), "input", (204, 409), retry=False)
            self.inputs[text] = None if answer is None or answer.status == 503 else answer.status == 204
        self.ask(draw, "POST", f"{path}?end=true", b"", "input", (204, 409))

    def interrupt(self, draw, mark):
        job = self.job(draw, f": {mark}; sleep 1000")
        if job is not None:
            time.sleep(draw.uniform(0, 1))
            self.ask(draw, "POST", f"/sessions/{self.session}/jobs/{job}/interrupt", b"", "interrupt", (202, 409))

    def read(self, draw):
        """Follows the session from node to node, by the last event that came."""
        last = ""
        while not self.is_checked:
            node = self.run.node(draw)
            try:
                connection = http.client.HTTPConnection("127.0.0.1", timeout=10)
                connection.sock = node.connect(10)
                headers = {"Last-Event-ID": last} if last else {}
                connection.request("GET", f"/sessions/{self.session}/stream", headers=headers)
                answer = connection.getresponse()
                if answer.status == 204 and self.is_closing:
                    return
                if answer.status != 200:
                    if answer.status not in (503, 429):
                        self.history.fault(f"stream through {node.name} after {last!r}: {answer.status}", answer.read()[:300])
                    time.sleep(0.5)
                    continue
                self.history.count("streams")
                until = time.monotonic() + draw.uniform(5, 60)
                name = data = event = None
                while time.monotonic() < until and not self.is_checked:
                    line = answer.readline()
                    if not line:
                        break
                    line = line.rstrip(b"\n").decode()
                    if line.startswith("id: "):
                        name = line[4:]
                    elif line.startswith("event: "):
                        event = line[7:]
                    elif line.startswith("data: "):
                        data = line[6:]
                    elif not line and data is not None:
                        if event == "end":
                            if not self.is_closing:
                                self.history.fault(f"the stream of {self.session} ended through {node.name}", data)
                            return
                        if name is not None:
                            self.take(json.loads(data), node)
                            last = name
                        name = data = event = None
            except FAILED:
                self.history.count("streams that broke")
                time.sleep(0.1)
            finally:
                connection.close()

    def take(self, event, node):
        sequence = event["sequence"]
        if sequence != len(self.events) + 1:
            self.history.fault(f"a reader of {self.session} got {sequence} after {len(self.events)} through {node.name}")
        self.events[sequence] = event

    def pull(self, draw):
        """As Arthas' clients: a consumer whose place the server keeps."""
        answer = self.arthas(draw, {"action": "join_session", "sessionId": self.session})
        consumer = answer and answer.get("consumerId")
        while consumer and not self.is_pulled:
            request = {"action": "pull_results", "sessionId": self.session, "consumerId": consumer}
            answer = self.arthas(draw, request)
            if answer is None:
                continue
            results = (answer.get("body") or {}).get("results")
            if results is None:
                if not self.is_closing and not self.is_pulled:
                    self.history.fault(f"pull of {self.session}:", json.dumps(answer)[:300])
                    time.sleep(1)
                    continue
                return
            self.pulled.append([it for it in map(item, results) if it])
            if not results:
                time.sleep(0.2)

    def arthas(self, draw, request):
        """None: no answer."""
        node = self.run.node(draw)
        try:
            answer = node.ask("POST", "/api", request, timeout=25)
        except FAILED:
            self.history.count("pull: no answer")
            return None if request["action"] == "pull_results" else self.arthas(draw, request)
        if answer.status in (503, 429) or answer.status >= 500:
            self.history.count(f"pull: {answer.status}")
            time.sleep(0.3)
            return None if request["action"] == "pull_results" else self.arthas(draw, request)
        body = answer.json()
        refused = str(body.get("message") or "")
        if answer.status == 200 and body.get("state") == "REFUSED" and not self.is_closing:
            # Arthas has no word for "try again" but its message.
            if is_retryable(refused):
                self.history.count("pull: refused for now")
                time.sleep(0.3)
                return None if request["action"] == "pull_results" else self.arthas(draw, request)
        return body

    def check(self, all_events):
        """Holds everything against the events that the nodes have."""
        fault, session = self.history.fault, self.session
        first = all_events[0]
        for node, events in zip(self.run.hosts.nodes, all_events):
            if events != first:
                at = next((pair for pair in zip(first, events) if pair[0] != pair[1]), (len(first), len(events)))
                fault(f"{session}: {node.name} has other events:", str(at)[:600])
        if [event["sequence"] for event in first] != list(range(1, len(first) + 1)):
            fault(f"{session}: its events have gaps")
        submitted, finished, outputs = collections.defaultdict(list), {}, collections.Counter()
        typed = []
        for event in first:
            kind = event["type"]
            if kind == "job-submitted":
                submitted[event["statement"]].append(event["job"])
            elif kind == "job-finished":
                if event["job"] in finished:
                    fault(f"{session}: job {event['job']} finished twice")
                finished[event["job"]] = event["outcome"]
                self.history.count(f"jobs {event['outcome']}")
                if event["outcome"] == "lost" and not event.get("message"):
                    fault(f"{session}: job {event['job']} is lost without a reason")
            elif kind == "session-resumed":
                self.history.count("resumed by another node" if event.get("node") else "resumed")
            elif kind == "input":
                typed.append(event)
            elif kind == "records-lost":
                fault(f"{session}: records are lost: {event}")
        for statement, job in self.accepted.items():
            if submitted[statement] != [job]:
                fault(f"{session}: job {job} was acknowledged, and is there as {submitted[statement]}: {statement}")
        for statement, jobs in submitted.items():
            if len(jobs) != 1 and not (statement in self.unknown and not jobs):
                fault(f"{session}: {statement!r} is there {len(jobs)} times")
        for statement, jobs in submitted.items():
            for job in jobs:
                if job not in finished:
                    fault(f"{session}: job {job} has not ended: {statement}")
        order = [submitted[statement][0] for statement in self.accepted if submitted[statement]]
        if order != sorted(order):
            fault(f"{session}: commands are in another order than they were acknowledged in")
        text = "".join(json.dumps(event) for event in typed)
        for line, was_taken in self.inputs.items():
            times = text.count(f"{line}\\n")
            if times > 1 or (was_taken and times != 1):
                fault(f"{session}: input {line} (taken: {was_taken}) is there {times} times")
        effects = collections.Counter(self.effects.read_text().split()) if self.effects.exists() else {}
        for mark, times in effects.items():
            if times > 1:
                fault(f"{session}: {mark} ran {times} times")
        for statement, jobs in submitted.items():
            if ">>" in statement and jobs and finished.get(jobs[0]) == "completed":
                mark = statement.split()[1]
                if effects.get(mark) != 1:
                    fault(f"{session}: {mark} succeeded and did not run")
        got = [self.events[key] for key in sorted(self.events)]
        if got != (first[:len(got)] if self.is_retired else first):
            at = next((pair for pair in zip(first, got) if pair[0] != pair[1]), (len(first), len(got)))
            fault(f"{session}: the reader has other events:", str(at)[:600])
        self.check_pulled([it for it in map(written, first) if it], not self.is_retired and not self.is_closed)
        self.history.count("commands acknowledged", len(self.accepted))
        self.history.count("commands without an answer", len(self.unknown))
        self.history.count("inputs acknowledged", sum(1 for it in self.inputs.values() if it))
        self.history.count("events", len(first))

    def check_pulled(self, items, to_the_end):
        """A consumer never misses anything. When its session changes hands, or the answer is lost that says how far it
        has come, it may get again what it had."""
        read = 0
        for answer in filter(None, self.pulled):
            for start in range(read, -1, -1):
                if items[start:start + len(answer)] == answer:
                    self.history.count("answers to pulls with results again", int(start < read))
                    read = max(read, start + len(answer))
                    break
            else:
                self.history.fault(f"{self.session}: after {read} results a consumer got", str(answer)[:300], "of", str(items[read:])[:300])
                return
        if to_the_end and read != len(items):
            self.history.fault(f"{self.session}: a consumer got {read} of {len(items)} results")
        self.history.count("results pulled", read)


def is_retryable(message):
    message = message.lower()
    return any(word in message for word in ("try again", "again", "not available", "cut off", "no node", "retry", "moment", "shutting down"))


def item(result):
    """A result as far as it is the same for each consumer."""
    kind = result.get("type")
    if kind == "command":
        return ("command", result.get("jobId"))
    if kind == "status":
        return ("status", result.get("jobId"))
    return ("result", json.dumps(result, sort_keys=True)) if kind == "shell" else None


def written(event):
    kind = event["type"]
    if kind == "job-submitted":
        return ("command", event["job"])
    if kind == "job-finished":
        return ("status", event["job"])
    return ("result", json.dumps(event["result"], sort_keys=True)) if kind == "result" else None


class Nemesis:
    def __init__(self, run, seed):
        self.run, self.hosts, self.draw = run, run.hosts, random.Random(f"nemesis {seed}")
        self.pending = []
        self.busy = set()
        self.is_calm = False

    def act(self):
        """Does something to one host, and says how to undo it."""
        draw, hosts = self.draw, self.hosts
        free = [index for index in range(3) if index not in self.busy]
        # A second host at once: sometimes.
        if not free or (self.busy and draw.random() > 0.25):
            return
        index = draw.choice(free)
        node, server = hosts.nodes[index], hosts.servers[index]
        others = [it for it in hosts.parts if it.index != index]
        other_servers = [it for it in hosts.servers if it.index != index]
        mine = [node, server]
        lasts = draw.choice([0.2, draw.uniform(1, 6), draw.uniform(5, 15), draw.uniform(8, 25)])
        kind = draw.choice(["kill node", "kill nats", "kill host", "kill leader", "stop node", "stop nats", "stop host",
                            "cut host", "cut host out", "cut host in", "cut node from its nats",
                            "cut node from all nats", "cut nats from nats", "end node"])
        if kind == "kill leader":
            server = hosts.leader(f"REJOIN-rejoin-{draw.randrange(3)}") or server
            if server.index in self.busy:
                return
            index = server.index
        pairs = []
        if kind == "cut host":
            pairs = [(a, b) for a in mine for b in others] + [(b, a) for a in mine for b in others]
        elif kind == "cut host out":
            pairs = [(a, b) for a in mine for b in others]
        elif kind == "cut host in":
            pairs = [(b, a) for a in mine for b in others]
        elif kind == "cut node from its nats":
            pairs = [(node, server), (server, node)]
        elif kind == "cut node from all nats":
            pairs = [(a, b) for it in hosts.servers for a, b in ((node, it), (it, node))]
        elif kind == "cut nats from nats":
            pairs = [(a, b) for it in other_servers for a, b in ((server, it), (it, server))]
        say(f"{kind} {index + 1} for {lasts:.1f} s")
        self.run.history.count(kind)
        for one, other in pairs:
            hosts.cut(one, other)
        touched = {"kill node": [node], "kill nats": [server], "kill leader": [server], "kill host": mine,
                   "stop node": [node], "stop nats": [server], "stop host": mine, "end node": [node]}.get(kind, [])
        for part in touched:
            if kind.startswith("kill"):
                part.kill()
            elif kind.startswith("stop"):
                part.stop()
        if kind == "end node":
            node.ask_to_end()

        def undo():
            for one, other in pairs:
                hosts.heal(one, other)
            for part in touched:
                if kind.startswith("stop"):
                    part.go_on()
                elif kind == "end node":
                    if part.wait_for_end(90) != 0:
                        self.run.history.fault(f"{part.name} did not end cleanly: {part.process.poll()}")
                        part.kill()
                    part.start()
                else:
                    part.start()
            self.busy.discard(index)

        self.busy.add(index)
        self.pending.append((time.monotonic() + lasts, undo))

    def run_until(self, end):
        following = time.monotonic() + 5
        while time.monotonic() < end:
            self.undo(time.monotonic())
            self.revive()
            if time.monotonic() >= following:
                following = time.monotonic() + self.draw.uniform(5, 20)
                if not self.is_calm:
                    self.act()
            time.sleep(0.1)
        self.undo(float("inf"))

    def undo(self, now):
        due = [undo for at, undo in self.pending if at <= now]
        self.pending = [(at, undo) for at, undo in self.pending if at > now]
        for undo in due:
            undo()

    def revive(self):
        for name, code in self.hosts.revive().items():
            say(f"{name} has ended by itself with {code}")
            self.run.history.count(f"{name[0]} ended by itself")


def events_of(node, session):
    found, after = [], 0
    while True:
        answer = node.ask("GET", f"/sessions/{session}/events?after={after}&limit=1000", timeout=60)
        # The session has ended and there is no more.
        page = answer.json().get("events", []) if answer.status == 200 else []
        if answer.status not in (200, 204):
            raise AssertionError(f"events of {session} at {node.name}: {answer.status} {answer.body[:300]}")
        if not page:
            return found
        found.extend(page)
        after = page[-1]["sequence"]


def listed(node):
    found, before = [], None
    while True:
        page = node.ask("GET", "/sessions?limit=1000" + (f"&before={before}" if before else ""), timeout=60).json()
        found.extend(page["sessions"])
        before = page.get("next")
        if not before:
            return sorted(found, key=lambda it: it["id"])


def check(run, settings):
    hosts, history = run.hosts, run.history
    names = [node.name for node in hosts.nodes]

    def is_whole():
        return all(hosts.is_ready(node) and {log: it[0] for log, it in hosts.writers(node).items()} == dict(enumerate(names))
                   for node in hosts.nodes)

    begun = time.monotonic()
    try:
        hosts.wait("all nodes are ready, and each has its log back", is_whole, 240)
        say(f"whole again after {time.monotonic() - begun:.1f} s")
    except AssertionError as error:
        for node in hosts.nodes:
            history.fault(error, node.name, node.ask("GET", "/cluster").body[:1500], node.ask("GET", "/readyz").body)
    run.is_over.set()
    for track in run.tracks:
        if track.threads:
            track.threads[0].join(PATIENCE + 60)
    tracks = [track for track in run.tracks if track.session]
    # What is open may run on: sleeps that were not interrupted in time.
    for track in tracks:
        for statement, job in track.accepted.items():
            if not track.is_closed and statement.endswith("sleep 1000"):
                hosts.nodes[0].ask("POST", f"/sessions/{track.session}/jobs/{job}/interrupt", b"")
    def quiet():
        return not any(it["state"] == "running" for it in listed(hosts.nodes[0]))
    try:
        hosts.wait("no job runs", quiet, 90)
    except AssertionError as error:
        history.fault(error, [it for it in listed(hosts.nodes[0]) if it["state"] == "running"][:3])
    def tails():
        return len({json.dumps([(it["id"], it["lastSequence"]) for it in listed(node)]) for node in hosts.nodes}) == 1
    try:
        hosts.wait("all nodes list the same", tails, 60)
    except AssertionError as error:
        history.fault(error)
    lists = [listed(node) for node in hosts.nodes]
    for node, found in zip(hosts.nodes, lists):
        for one, other in zip(lists[0], found):
            # When it was last used is known to its writer alone.
            differ = {key for key in one if one[key] != other.get(key)}
            if differ:
                history.fault(f"{node.name} lists {one['id']} otherwise:", {key: (one[key], other.get(key)) for key in differ})
                break
    ids = {it["id"] for it in lists[0]}
    for track in tracks:
        if track.session not in ids and len(ids) < 1000:
            history.fault(f"session {track.session} is not listed")
    # Consumers first: that they have got something is an event, too.
    for track in tracks:
        if not track.is_retired:
            wanted = sum(1 for it in events_of(hosts.nodes[0], track.session) if written(it))
            try:
                hosts.wait("the consumer has all", lambda: track.is_closed or sum(map(len, track.pulled)) >= wanted, 20)
            except AssertionError:
                pass
    for track in tracks:
        track.is_pulled = True
    for track in tracks:
        for thread in track.threads[2:]:
            thread.join(40)
    time.sleep(3)
    for track in tracks:
        all_events = [events_of(node, track.session) for node in hosts.nodes]
        last = len(all_events[0])
        try:
            hosts.wait("the reader has all", lambda: len(track.events) >= last or not track.threads[1].is_alive(), 30)
        except AssertionError:
            pass
        track.is_checked = True
        track.check(all_events)
    for track in tracks:
        for thread in track.threads:
            thread.join(40)
    for node in hosts.nodes:
        code = node.end(90)
        if code != 0:
            history.fault(f"{node.name} ended with {code}")
    for node in hosts.nodes:
        left = node.processes()
        for process in left:
            try:
                words = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            history.fault(f"left over at {node.name}: {process} {words}")
    for index, node in enumerate(hosts.nodes):
        logs = hosts.stores[index] / "data" / "logs"
        for log in sorted(logs.iterdir()) if logs.exists() else []:
            done = subprocess.run([hosts.rejoin, "verify", str(log)], capture_output=True, text=True)
            if done.returncode:
                history.fault(f"copy {log.name} of {node.name}:", done.stdout[-400:], done.stderr[-400:])
            else:
                history.count("copies verified")


def report(run, settings):
    history = run.history
    say("counts:")
    for what, times in sorted(history.counts.items()):
        print(f"  {what}: {times}")
    for what, values in sorted(history.latencies.items()):
        print(f"  {what}: {len(values)}, p50 {quantile(values, 0.5) * 1e3:.1f} ms, p99 {quantile(values, 0.99):.2f} s, worst {max(values):.2f} s")
    at = sorted(history.acknowledged)
    gaps = sorted((b - a for a, b in zip(at, at[1:])), reverse=True)[:5]
    print(f"  longest times without any acknowledgement: {', '.join(f'{gap:.1f} s' for gap in gaps)}")
    print(f"  highest terms: {', '.join(f'log {log}: {max(t for (l, t) in run.terms if l == log)}' for log in range(3) if any(l == log for l, _ in run.terms))}")
    print(f"  sessions: {len(run.tracks)}")
    say(f"{len(history.faults)} faults")
    for fault in history.faults[:50]:
        print("  ", fault)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rejoin")
    parser.add_argument("--nats", default="nats-server")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tracks", type=int, default=6)
    parser.add_argument("--calm", action="store_true", help="do nothing to the hosts")
    parser.add_argument("--root")
    settings = parser.parse_args()
    root = settings.root or tempfile.mkdtemp(prefix="nodes", dir="target")
    root = Path(root).resolve()
    hosts = Hosts(root, settings.rejoin, settings.nats, arguments=["--pull-wait", "500ms"])
    run = Run(hosts, settings.seed, settings.tracks)
    try:
        hosts.make()
        hosts.start()
        say("started, in", root)
        threading.Thread(target=run.watch, daemon=True).start()
        nemesis = Nemesis(run, settings.seed)
        nemesis.is_calm = settings.calm
        end = time.monotonic() + settings.minutes * 60

        def keep_tracks():
            while time.monotonic() < end:
                for track in run.tracks[:-2 * settings.tracks]:
                    if track.over_since and time.monotonic() > track.over_since + 40:
                        track.retire()
                if sum(not track.is_over for track in run.tracks) < settings.tracks:
                    run.tracks.append(Track(run, len(run.tracks)).begin())
                time.sleep(0.5)

        keeper = threading.Thread(target=keep_tracks, daemon=True)
        keeper.start()
        nemesis.run_until(end)
        say("healed")
        stop = threading.Event()

        def revive():
            while not stop.is_set():
                nemesis.revive()
                time.sleep(0.5)

        reviver = threading.Thread(target=revive, daemon=True)
        reviver.start()
        keeper.join(60)
        try:
            check(run, settings)
        finally:
            stop.set()
        report(run, settings)
    finally:
        hosts.close()
    if run.history.faults:
        say("files are kept in", root)
        raise SystemExit(1)
    if not settings.root:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
