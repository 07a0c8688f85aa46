#!/usr/bin/env python3
"""The power of three hosts fails at once, under load, several times; then everything that was acknowledged is
held against what is there, as `hour.py` does.

    tests/nodes/power.py target/release/rejoin [--rounds 5]

Each host's files, those of NATS and of the node, are on a file system of its own (ext4 on a loop device), which
is shut down without writing what it has in memory: `EXT4_IOC_SHUTDOWN`. Needs root and `mkfs.ext4`.
"""

import argparse
import fcntl
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from hosts import Hosts, say
from hour import Run, Track, check, report

SHUTDOWN = 0x8004587D
WITHOUT_FLUSH = 2


class Disk:
    def __init__(self, root, number):
        self.image, self.place = root / f"disk{number}.img", root / f"host{number}"
        with open(self.image, "wb") as image:
            image.truncate(3 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self.image)], check=True)
        self.place.mkdir()
        self.mount()

    def mount(self):
        subprocess.run(["mount", "-o", "loop", str(self.image), str(self.place)], check=True)

    def unmount(self):
        for _ in range(100):
            if subprocess.run(["umount", str(self.place)], capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        raise SystemExit(f"{self.place} is in use")


def cut(hosts, disks):
    """All hosts at once: first their disks take nothing more, then everything that ran is gone."""
    opened = [os.open(disk.place, os.O_RDONLY) for disk in disks]
    for fd in opened:
        fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
    for part in hosts.parts:
        part.kill()
    for part in hosts.parts:
        for process in part.processes():
            os.kill(process, signal.SIGKILL)
    for fd in opened:
        os.close(fd)
    for disk in disks:
        disk.unmount()
        disk.mount()


def apart():
    """Runs this program where no other one sees its mounts: one that is started meanwhile would hold the disks."""
    if "REJOIN_APART" not in os.environ:
        os.environ["REJOIN_APART"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])


def main():
    apart()
    parser = argparse.ArgumentParser()
    parser.add_argument("rejoin")
    parser.add_argument("--nats", default="nats-server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tracks", type=int, default=6)
    settings = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="nodes", dir="target")).resolve()
    draw = random.Random(settings.seed)
    disks = []
    hosts = None
    try:
        disks.extend(Disk(root, number) for number in (1, 2, 3))
        hosts = Hosts(root, settings.rejoin, settings.nats, [disk.place / "files" for disk in disks],
                      ["--pull-wait", "500ms"])
        run = Run(hosts, settings.seed, settings.tracks)
        hosts.make()
        hosts.start()
        is_over = threading.Event()

        def keep_tracks():
            while not is_over.is_set():
                if sum(not track.is_over for track in run.tracks) < settings.tracks:
                    run.tracks.append(Track(run, len(run.tracks)).begin())
                time.sleep(0.2)

        threading.Thread(target=run.watch, daemon=True).start()
        keeper = threading.Thread(target=keep_tracks, daemon=True)
        keeper.start()
        for turn in range(settings.rounds):
            before = len(run.history.acknowledged)
            hosts.wait("there is load", lambda: len(run.history.acknowledged) > before + 60)
            time.sleep(draw.uniform(0, 3))
            before = len(run.history.acknowledged)
            began = time.monotonic()
            cut(hosts, disks)
            for part in hosts.parts:
                part.start()
            hosts.wait("commands are acknowledged again", lambda: len(run.history.acknowledged) > before + 20, 180, revives=True)
            say(f"power cut {turn + 1}: {before} requests acknowledged before; again after {time.monotonic() - began:.1f} s")
            hosts.wait("all nodes are ready", lambda: all(map(hosts.is_ready, hosts.nodes)), 180, revives=True)
        is_over.set()
        keeper.join(60)
        check(run, settings)
        report(run, settings)
        faults = run.history.faults
    finally:
        if hosts:
            hosts.close()
        for disk in disks:
            disk.unmount()
    if faults:
        raise SystemExit(1)
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
