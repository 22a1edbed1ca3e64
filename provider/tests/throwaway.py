# SPDX-License-Identifier: GPL-2.0-or-later
"""
A node of its own to leave things behind on: fresh namespaces, private copies of the files, an own libvirtd.

Run it as ``python throwaway.py <script.py> <answer.json> <token>`` (root): *script* runs inside as ``run(node) -> JSON``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

from provider.hvqual import marks, wait  # noqa: E402

UNSHARE = [
    "unshare",
    "-n",
    "-m",
    "-p",
    "-u",
    "-i",
    "-C",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--propagation",
    "private",
]
# The shell is the first process: it buries the orphans of daemons, for whose end libvirtd waits.
INIT = ["sh", "-c", '"$@"; exit $?', "init"]
COPIED = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/var/lib/dpkg/status")
FRESH = (
    "/run",
    "/var/lib/libvirt",
    "/var/log/libvirt",
    "/var/cache/libvirt",
    "/mnt",
    "/var/tmp",  # noqa: S108 - a mount point inside
    "/var/lib/avocado-hvqual",
)
# What runs these tests must stay to be seen: a checkout or a virtual environment may lie below /var/tmp.
FRESH = tuple(folder for folder in FRESH if not any(Path(folder) in Path(seen).parents for seen in (ROOT, sys.prefix)))
URI = "qemu:///system"


def sh(*words, check=True):
    """Run a command, its words in the error."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if check and done.returncode:
        message = f"{words}: {done.stderr}"
        raise RuntimeError(message)
    return done.stdout


class Node:
    """The throw-away node, from inside."""

    def __init__(self, work: Path, group: Path) -> None:
        self.work, self.group, self.uri = work, group, URI

    def prepare(self) -> None:
        """Give the node its own files, its own corner of the control groups, a network and a libvirtd."""
        sh("ip", "link", "set", "lo", "up")
        for file in COPIED:
            copy = self.work / Path(file).name
            shutil.copy2(file, copy)
            sh("mount", "--bind", str(copy), file)
        shutil.copytree("/etc/libvirt", self.work / "etc-libvirt", symlinks=True)
        with (self.work / "etc-libvirt" / "qemu.conf").open("a") as conf:
            conf.write("cgroup_controllers = []\n")  # libvirt need not find its way in our corner of the control groups
        sh("mount", "--bind", str(self.work / "etc-libvirt"), "/etc/libvirt")
        for folder in FRESH:
            Path(folder).mkdir(parents=True, exist_ok=True)
            sh("mount", "-t", "tmpfs", "-o", "mode=755", "hvq-test", folder)
        for folder in ("/run/lock", "/var/lib/libvirt/images", "/var/log/libvirt/qemu"):
            Path(folder).mkdir(parents=True)
        sh("mount", "--bind", str(self.group), "/sys/fs/cgroup")

    def start_libvirtd(self) -> None:
        """Start libvirtd and the default network."""
        sh("virtlogd", "-d", check=False)  # it may still run when only libvirtd died
        sh("libvirtd", "-d")
        libvirt = marks.libvirt_module()
        libvirt.registerErrorHandler(lambda *_: None, None)

        def answers():
            try:
                return libvirt.open(self.uri)
            except libvirt.libvirtError:
                return None

        self.conn = wait.until(answers, 20, "libvirtd to answer")
        network = self.conn.networkLookupByName("default")
        if not network.isActive():
            network.create()

    def process(self, *argv: str) -> subprocess.Popen:
        """A process that only sleeps, under another name."""
        code = "import sys, time; print('up', flush=True); time.sleep(1000)"
        child = subprocess.Popen([argv[0], "-c", code, *argv[1:]], executable=sys.executable, stdout=subprocess.PIPE)
        child.stdout.readline()
        return child


def outside(script: str, tmp_path: Path, timeout: float = 200) -> dict:
    """What *script* (a file beside this one) finds on a throw-away node."""
    answer, token = tmp_path / "answer.json", f"hvq-seed-{os.getpid()}"
    top = Path("/sys/fs/cgroup")
    parent = next((top / name for name in ("cpu", "cpu,cpuacct") if (top / name).is_dir()), top)
    group, work = parent / token, tmp_path / "work"
    group.mkdir()
    work.mkdir()
    try:
        command = [
            *UNSHARE,
            *INIT,
            sys.executable,
            __file__,
            str(Path(__file__).with_name(script)),
            str(answer),
            str(group),
            str(work),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode:
            raise AssertionError(done.stdout[-3000:] + done.stderr[-6000:])
        return json.loads(answer.read_text())
    finally:
        for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            folder.rmdir()
        group.rmdir()


def main() -> None:
    script, answer, group, work = sys.argv[1:]
    spec = importlib.util.spec_from_file_location("script", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    node = Node(Path(work), Path(group))
    node.prepare()
    node.start_libvirtd()
    Path(answer).write_text(json.dumps(module.run(node)))


if __name__ == "__main__":
    main()
