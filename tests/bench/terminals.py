#!/usr/bin/env python3
"""Measures terminals: Rejoin beside ssh and tmux, in turns, on one machine.

    tests/bench/terminals.py target/release/rejoin [--keys 300] [--rounds 5] [--late 1000]

Needs `sshd`, `ssh`, `ssh-keygen` and `tmux`. Starts its own server and its own sshd, with throw-away
keys, on loopback, and ends both. Prints a table in Markdown. `--late` is in megabytes.
"""

import argparse
import fcntl
import http.client
import json
import os
import pty
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import tempfile
import termios
import threading
import time
from pathlib import Path

PATIENCE = 120.0
SIZE = (100, 30)


class Pane:
    """A program on a local terminal, whose keys are typed and whose output is read."""

    def __init__(self, arguments, environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(arguments[0], arguments, environment)
        columns, rows = SIZE
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.seen = b""

    def read(self, seconds):
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return b""
        try:
            return os.read(self.fd, 65536)
        except OSError:
            return b""

    def wait_for(self, what):
        end = time.monotonic() + PATIENCE
        while what not in self.seen:
            if time.monotonic() > end:
                raise SystemExit(f"not seen: {what!r} in {self.seen[-500:]!r}")
            self.seen = (self.seen + self.read(1.0))[-65536:]
        self.seen = b""

    def type(self, keys):
        os.write(self.fd, keys)

    def drain(self):
        """Reads to the end of the program. Returns how many bytes came."""
        count = 0
        while True:
            try:
                part = os.read(self.fd, 65536)
            except OSError:
                part = b""
            if not part:
                os.waitpid(self.pid, 0)
                os.close(self.fd)
                return count
            count += len(part)

    def close(self):
        os.kill(self.pid, signal.SIGHUP)
        os.close(self.fd)
        os.waitpid(self.pid, 0)


class Sshd:
    """sshd on loopback, with keys that live as long as this."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(mode=0o700)
        for name in ["host", "user"]:
            key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)]
            subprocess.run(key, check=True)
        shutil.copy(directory / "user.pub", directory / "authorized")
        self.port = free_port()
        config = directory / "config"
        config.write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {directory}/host\nPidFile none\n"
            f"AuthorizedKeysFile {directory}/authorized\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nPermitRootLogin prohibit-password\nPrintMotd no\n"
        )
        os.makedirs("/run/sshd", exist_ok=True)
        sshd = shutil.which("sshd") or "/usr/sbin/sshd"
        self.process = subprocess.Popen([sshd, "-D", "-f", config], stderr=subprocess.DEVNULL)
        wait_for_port(self.port)
        # What a person has who works on a machine: one connection that is kept.
        self.kept = subprocess.Popen(self.command("-M", "-N"), stderr=subprocess.DEVNULL)
        wait_until(lambda: (directory / "control").exists())

    def command(self, *options):
        directory = self.directory
        return [
            "ssh", "-q", "-F", "none", "-p", str(self.port), "-i", f"{directory}/user",
            "-o", f"UserKnownHostsFile={directory}/known", "-o", "StrictHostKeyChecking=no",
            "-o", "BatchMode=yes", "-o", f"ControlPath={directory}/control", *options, "127.0.0.1",
        ]

    def close(self):
        for process in [self.kept, self.process]:
            process.terminate()
            process.wait()


class Server:
    """A Rejoin server with its own data directory."""

    def __init__(self, binary, directory):
        self.binary = binary
        self.port = free_port()
        arguments = [binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", str(directory)]
        self.log = open(directory.parent / "rejoin.log", "w")
        self.process = subprocess.Popen(arguments, stderr=self.log)
        wait_for_port(self.port)
        self.environment = dict(os.environ, REJOIN_SERVER=f"http://127.0.0.1:{self.port}")

    def pane(self, *arguments):
        return Pane([self.binary, *arguments], self.environment)

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path, json.dumps(body) if body is not None else None)
        answer = connection.getresponse()
        read = answer.read()
        connection.close()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {read!r}")
        return read

    def start(self, statement):
        session = json.loads(self.ask("POST", "/sessions", {}))["id"]
        columns, rows = SIZE
        new = {"statement": statement, "terminal": {"columns": columns, "rows": rows}, "client": "bench"}
        job = json.loads(self.ask("POST", f"/sessions/{session}/jobs", new))["job"]
        return session, job

    def close(self):
        self.process.terminate()
        self.process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(is_so):
    end = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > end:
            raise SystemExit("waited in vain")
        time.sleep(0.02)


def wait_for_port(port):
    def answers():
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    wait_until(answers)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def sync(path):
    """The time of one append of 4 KiB that is synced."""
    with open(path, "ab", buffering=0) as file:
        begin = time.perf_counter()
        file.write(bytes(4096))
        os.fdatasync(file.fileno())
        return time.perf_counter() - begin


def echo(server, sshd, directory, keys):
    """A key typed until its echo is read, in turns: at who types, and at another viewer."""
    tmux_socket = str(directory / "tmux")
    panes = {
        "rejoin": server.pane("run", "-t", "cat"),
        "ssh, kept connection": Pane(sshd.command("-tt") + ["cat"], dict(os.environ)),
        "tmux": Pane(["tmux", "-S", tmux_socket, "-f", "/dev/null", "new-session", "cat"], dict(os.environ, TERM="xterm")),
    }
    for pane in panes.values():
        wait_until(lambda: not pane.read(0.5))
        pane.type(b"ready\r")
        pane.wait_for(b"ready")
    session = json.loads(server.ask("GET", "/sessions?limit=1"))["sessions"][0]
    watching = server.pane("attach", "--watch", str(session["number"]))
    watching.wait_for(b"ready")
    times = {name: [] for name in [*panes, "rejoin, at another viewer", "sync"]}
    for number in range(keys):
        key = bytes([ord("a") + number % 26])
        times["sync"].append(sync(directory / "synced"))
        for name, pane in panes.items():
            while pane.read(0):
                pass
            while watching.read(0):
                pass
            begin = time.perf_counter()
            pane.type(key)
            while key not in pane.read(PATIENCE):
                pass
            times[name].append(time.perf_counter() - begin)
            if name == "rejoin":
                while key not in watching.read(PATIENCE):
                    pass
                times["rejoin, at another viewer"].append(time.perf_counter() - begin)
        # A line that is too long for a terminal would stop it.
        if number % 60 == 59:
            for pane in panes.values():
                pane.type(b"\r")
                pane.read(1.0)
                while pane.read(0.2):
                    pass
    for pane in [watching, *panes.values()]:
        pane.close()
    subprocess.run(["tmux", "-S", tmux_socket, "kill-server"], check=False, stderr=subprocess.DEVNULL)
    print("\n| a key typed → its echo | p50 ms | p99 ms |\n| --- | --- | --- |")
    for name, values in times.items():
        print(f"| {name} | {1e3 * percentile(values, 0.5):.2f} | {1e3 * percentile(values, 0.99):.2f} |")


def throughput(server, sshd, rounds):
    """Much output through a terminal, until the last byte was read at the other end."""
    print("\n| much output | seconds, median | × ssh |\n| --- | --- | --- |")
    for title, statement in [("`seq 1 1000000`", "seq 1 1000000"), ("`cat` of 20 MB of long lines", "yes \"$(seq -s, 300)\" | head -c 20000000")]:
        contestants = {
            "ssh, kept connection": lambda: Pane(sshd.command("-tt") + [statement], dict(os.environ)),
            "rejoin": lambda: server.pane("run", "-t", statement),
        }
        times = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, start in contestants.items():
                begin = time.perf_counter()
                start().drain()
                times[name].append(time.perf_counter() - begin)
        ratios = [ours / theirs for ours, theirs in zip(times["rejoin"], times["ssh, kept connection"])]
        for name, values in times.items():
            ratio = f"{statistics.median(ratios):.2f}" if name == "rejoin" else "1"
            print(f"| {title}, {name} | {statistics.median(values):.2f} | {ratio} |")


def interrupt(server, rounds):
    """An interrupt over the API until the program in the foreground has said that it got it."""
    program = "$| = 1; $SIG{INT} = sub { print \"g\" . \"ot\\n\" }; print \"re\" . \"ady\\n\"; sleep 1 while 1"
    session, job = server.start(f"perl -e '{program}'")
    times = []
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.request("GET", f"/sessions/{session}/stream")
    stream = connection.getresponse()

    def wait_for(what):
        while what not in stream.readline():
            pass

    wait_for(b"ready")
    for _ in range(rounds):
        # A second one within the grace time is firmer.
        time.sleep(2.2)
        begin = time.perf_counter()
        threading.Thread(target=server.ask, args=("POST", f"/sessions/{session}/jobs/{job}/interrupt")).start()
        wait_for(b"got")
        times.append(time.perf_counter() - begin)
    server.ask("DELETE", f"/sessions/{session}")
    print("\n| an interrupt → the program's answer | p50 ms | worst ms |\n| --- | --- | --- |")
    print(f"| rejoin | {1e3 * percentile(times, 0.5):.1f} | {1e3 * max(times):.1f} |")


def late(server, megabytes):
    """What a viewer gets who comes after much output of a full-screen program."""
    statement = (
        "printf '\\033[?1049h'; "
        f"yes \"$(printf '\\033[H\\033[32m'; seq -s ' ' 1 400; printf '\\033[m')\" | head -c {megabytes}000000; "
        "printf '\\033[2J\\033[Hla''st'; read x"
    )
    begin = time.perf_counter()
    session, job = server.start(statement)
    path = f"/sessions/{session}/jobs/{job}/screen"
    wait_until_written(server, path)
    written = time.perf_counter() - begin
    times, sizes = [], []
    for _ in range(20):
        begin = time.perf_counter()
        screen = server.ask("GET", path)
        times.append(time.perf_counter() - begin)
        sizes.append(len(screen))
    last = json.loads(server.ask("GET", path))["after"]
    past = []
    for share in range(1, 10):
        begin = time.perf_counter()
        server.ask("GET", f"{path}?at={last * share // 10}")
        past.append(time.perf_counter() - begin)
    server.ask("DELETE", f"/sessions/{session}")
    print(f"\n| after {megabytes} MB of a full-screen program, written in {written:.0f} s | p50 ms | worst ms | bytes |")
    print("| --- | --- | --- | --- |")
    print(f"| the screen now | {1e3 * percentile(times, 0.5):.1f} | {1e3 * max(times):.1f} | {max(sizes)} |")
    print(f"| the screen at nine places of the past | {1e3 * percentile(past, 0.5):.1f} | {1e3 * max(past):.1f} | |")


def wait_until_written(server, path):
    while True:
        try:
            if "last" in json.loads(server.ask("GET", path))["content"]:
                return
        except SystemExit:
            pass
        time.sleep(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("binary")
    parser.add_argument("--keys", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--late", type=int, default=1000)
    parser.add_argument("--only", default="echo,throughput,interrupt,late")
    options = parser.parse_args()
    only = options.only.split(",")
    binary = str(Path(options.binary).resolve())
    with tempfile.TemporaryDirectory(dir=Path(binary).parent) as parent:
        directory = Path(parent)
        server, sshd = Server(binary, directory / "data"), Sshd(directory / "ssh")
        try:
            print(f"load when it began: {os.getloadavg()[0]:.1f}, processors: {os.cpu_count()}")
            if "echo" in only:
                echo(server, sshd, directory, options.keys)
            if "throughput" in only:
                throughput(server, sshd, options.rounds)
            if "interrupt" in only:
                interrupt(server, 4 * options.rounds)
            if "late" in only:
                late(server, options.late)
        finally:
            sshd.close()
            server.close()


if __name__ == "__main__":
    main()
