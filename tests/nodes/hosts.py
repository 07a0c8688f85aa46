"""Three hosts on one machine: each has a server of NATS and a node, in network namespaces of their own.

Needs root, `ip` and `nats-server`. Everything is in namespaces named `rj<process>…`, which `close` removes.
Clients enter the namespace of a node, so what is cut between hosts never cuts a client off.
"""

import contextlib
import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

COUNT = 3
PORT = 8563
# Answers no packets: what is routed there is dropped without a word, as by a broken switch.
NOWHERE = "10.77.0.254"
_libc = ctypes.CDLL(None, use_errno=True)
_own = os.open("/proc/self/ns/net", os.O_RDONLY)


def _setns(fd):
    if _libc.setns(fd, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def inside(fd):
    """This thread is in a network namespace."""
    _setns(fd)
    try:
        yield
    finally:
        _setns(_own)


def ip(*arguments, check=True):
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if check and done.returncode:
        raise SystemExit(f"ip {' '.join(arguments)}: {done.stderr}")


class Answer:
    def __init__(self, status, body):
        self.status, self.body = status, body

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return {}


class Part:
    """One program of a host: its namespace, its address, and the process if it runs."""

    def __init__(self, hosts, kind, index):
        self.hosts, self.kind, self.index = hosts, kind, index
        self.name = f"{kind}{index + 1}"
        self.namespace = f"{hosts.tag}{self.name}"
        self.address = f"10.77.0.{(10 if kind == 's' else 20) + index + 1}"
        self.process = None
        self.is_stopped = False
        # Ended on purpose.
        self.is_down = True
        self.starts = 0

    def make(self):
        space, switch = self.namespace, self.hosts.switch
        ip("netns", "add", space)
        ip("-n", switch, "link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", space)
        ip("-n", switch, "link", "set", self.name, "master", "br0", "up")
        ip("-n", space, "link", "set", "lo", "up")
        ip("-n", space, "addr", "add", f"{self.address}/24", "dev", "eth0")
        ip("-n", space, "link", "set", "eth0", "up")
        ip("-n", space, "neigh", "add", NOWHERE, "lladdr", "02:00:00:00:de:ad", "dev", "eth0", "nud", "permanent")
        self.fd = os.open(f"/run/netns/{space}", os.O_RDONLY)

    def start(self):
        if self.process and self.process.poll() is None:
            return
        log = open(self.hosts.root / f"{self.name}.log", "ab")
        log.write(f"--- start {self.starts} at {time.strftime('%H:%M:%S')}\n".encode())
        log.flush()
        self.is_down = self.is_stopped = False
        self.starts += 1
        self.process = subprocess.Popen(
            # Not `ip netns exec`: that copies all mounts, and a disk could not be taken away any more.
            ["nsenter", f"--net=/run/netns/{self.namespace}", *self.hosts.command(self)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            cwd=self.hosts.root, env=self.hosts.environment,
        )
        log.close()

    def signal(self, number):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self):
        self.is_down = True
        if self.process:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.is_stopped = False

    def stop(self):
        self.signal(signal.SIGSTOP)
        self.is_stopped = True

    def go_on(self):
        self.signal(signal.SIGCONT)
        self.is_stopped = False

    def end(self, patience=60):
        """As `kill -TERM`. The exit code; None: it did not end."""
        self.ask_to_end()
        return self.wait_for_end(patience)

    def ask_to_end(self):
        self.is_down = True
        self.go_on()
        self.signal(signal.SIGTERM)

    def wait_for_end(self, patience):
        if not self.process:
            return 0
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            return None

    def is_running(self):
        return bool(self.process) and self.process.poll() is None and not self.is_stopped

    def connect(self, timeout):
        with inside(self.fd):
            return socket.create_connection(("127.0.0.1" if self.kind == "n" else self.address,
                                             PORT if self.kind == "n" else 8222), timeout)

    def ask(self, method, path, body=None, timeout=30.0):
        """One request over a connection of its own. Raises OSError or HTTPException without an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=timeout)
        connection.sock = self.connect(timeout)
        try:
            payload = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            headers = {"Content-Type": "application/json"} if payload is not None else {}
            if self.kind == "s":
                headers["Host"] = self.address
            connection.request(method, path, payload, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        finally:
            connection.close()

    def processes(self):
        """All processes in its namespace."""
        done = subprocess.run(["ip", "netns", "pids", self.namespace], capture_output=True, text=True)
        return [int(line) for line in done.stdout.split()]


class Hosts:
    def __init__(self, root, rejoin, nats="nats-server", stores=None, arguments=(), count=COUNT):
        self.root, self.rejoin, self.nats = Path(root), str(Path(rejoin).resolve()), nats
        # Where each host keeps its files, if not below `root`.
        self.stores = stores or [self.root / f"host{index + 1}" for index in range(count)]
        self.arguments = list(arguments)
        self.root.mkdir(parents=True, exist_ok=True)
        # So that `close` is called then, too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        for store in self.stores:
            store.mkdir(parents=True, exist_ok=True)
        self.tag = f"rj{os.getpid()}"
        self.switch = f"{self.tag}sw"
        self.environment = {**os.environ, "HOME": str(self.root)}
        self.servers = [Part(self, "s", index) for index in range(count)]
        self.nodes = [Part(self, "n", index) for index in range(count)]
        # Which servers each node knows of.
        self.known = [self.servers for _ in range(count)]
        self.cuts = {}
        self.lock = threading.Lock()

    @property
    def parts(self):
        return self.servers + self.nodes

    def make(self):
        ip("netns", "add", self.switch)
        ip("-n", self.switch, "link", "add", "br0", "type", "bridge")
        ip("-n", self.switch, "link", "set", "br0", "up")
        for part in self.parts:
            part.make()

    def command(self, part):
        store = self.stores[part.index]
        if part.kind == "s":
            routes = ", ".join(f'"nats://{server.address}:6222"' for server in self.servers)
            settings = self.root / f"{part.name}.conf"
            settings.write_text(
                f"server_name: {part.name}\nlisten: \"{part.address}:4222\"\nhttp: \"{part.address}:8222\"\n"
                f"jetstream {{ store_dir: \"{store}/js\", sync_interval: always, max_file_store: 8G, "
                f"max_memory_store: 64M }}\n"
                f"cluster {{ name: rejoin, listen: \"{part.address}:6222\", routes: [{routes}] }}\n"
            )
            return [self.nats, "-c", str(settings)]
        return [
            self.rejoin, "serve", "--listen", f"127.0.0.1:{PORT}", "--data", str(store / "data"),
            "--node", part.name,
            "--cluster", ",".join(f"nats://{server.address}:4222" for server in self.known[part.index]),
            "--cluster-monitoring", ",".join(f"{server.address}:8222" for server in self.servers),
            *self.arguments,
        ]

    def start(self):
        for server in self.servers:
            server.start()
        self.wait("the servers of NATS are healthy", lambda: all(map(self.is_healthy, self.servers)), 30)
        for node in self.nodes:
            node.start()
            self.wait(f"{node.name} is ready", lambda: self.is_ready(node), 60)
        self.wait("each node knows all logs", lambda: all(len(self.writers(node)) == len(self.nodes) for node in self.nodes))

    def revive(self):
        """As a service manager: a program that has ended by itself is started again. Those are returned by name,
        with their exit codes."""
        ended = [part for part in self.parts if not part.is_down and part.process and part.process.poll() is not None]
        codes = {part.name: part.process.returncode for part in ended}
        for part in ended:
            part.start()
        return codes

    def is_healthy(self, server):
        try:
            return server.ask("GET", "/healthz", timeout=2).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def is_ready(self, node):
        try:
            return node.ask("GET", "/readyz", timeout=5).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def writers(self, node):
        """Who writes each log and in which term, as a node sees it. Nothing without an answer."""
        try:
            logs = node.ask("GET", "/cluster", timeout=2).json().get("logs", [])
        except (OSError, http.client.HTTPException):
            return {}
        return {log["log"]: (log["node"], log["term"]) for log in logs if log["node"]}

    def leader(self, stream):
        """The server of NATS that leads a stream. None: none that is known."""
        for server in self.servers:
            if not server.is_running():
                continue
            try:
                answer = server.ask("GET", "/jsz?streams=true&accounts=true", timeout=2).json()
            except (OSError, http.client.HTTPException):
                continue
            for account in answer.get("account_details", []):
                for detail in account.get("stream_detail", []):
                    if detail["name"] == stream and detail.get("cluster", {}).get("leader"):
                        return next(it for it in self.servers if it.name == detail["cluster"]["leader"])
        return None

    def wait(self, what, is_so, patience=120.0, revives=False):
        begun = time.monotonic()
        while not is_so():
            if revives:
                self.revive()
            if time.monotonic() > begun + patience:
                raise AssertionError(f"it does not become so: {what}")
            time.sleep(0.02)
        return time.monotonic() - begun

    def cut(self, one, other):
        """Drops what `one` sends to `other`, until as many `heal` have been called."""
        with self.lock:
            times = self.cuts[(one.name, other.name)] = self.cuts.get((one.name, other.name), 0) + 1
            if times == 1:
                ip("-n", one.namespace, "route", "replace", f"{other.address}/32", "via", NOWHERE, "dev", "eth0")

    def heal(self, one, other):
        with self.lock:
            times = self.cuts[(one.name, other.name)] = self.cuts[(one.name, other.name)] - 1
            if times == 0:
                ip("-n", one.namespace, "route", "del", f"{other.address}/32")

    def close(self):
        for part in self.nodes + self.servers:
            part.kill()
        for part in self.parts:
            for process in part.processes():
                with contextlib.suppress(OSError):
                    os.kill(process, signal.SIGKILL)
            if hasattr(part, "fd"):
                os.close(part.fd)
            ip("netns", "del", part.namespace, check=False)
        ip("netns", "del", self.switch, check=False)


def say(*words):
    print(time.strftime("%H:%M:%S"), *words, flush=True)


def quantile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))] if values else float("nan")


def fail(what):
    say("FAULT:", what)
    sys.exit(1)
