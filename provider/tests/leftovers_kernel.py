# SPDX-License-Identifier: GPL-2.0-or-later
"""Leftovers that the kernel holds: processes, the network, settings, groups, mounts, sockets."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from provider.hvqual import wait
from provider.tests.leftovers_base import change, seed, sh


@seed("processes")
def _(node):
    child = node.process("/usr/bin/qemu-system-x86_64", "-name", "left")
    yield
    child.kill()
    child.wait()


@seed("processes", "one more of the same")
def _(node):
    child = node.process("/usr/bin/qemu-system-x86_64", "-name", "present")
    yield
    child.kill()
    child.wait()


@seed("processes", "stopped")
def _(node):
    os.kill(node.present.pid, 19)
    yield
    os.kill(node.present.pid, 18)


@seed("processes", "pinned")
def _(node):
    before = os.sched_getaffinity(node.present.pid)
    os.sched_setaffinity(node.present.pid, {min(before)})
    yield
    os.sched_setaffinity(node.present.pid, before)


@seed("processes", "dnsmasq")
def _(node):
    child = node.process("/usr/sbin/dnsmasq", "--conf-file=/left.conf")
    yield
    child.kill()
    child.wait()


@seed("links")
def _(node):
    sh("ip", "link", "add", "left0", "type", "veth", "peer", "name", "left1")
    yield
    sh("ip", "link", "del", "left0")


@seed("links", "mtu")
def _(node):
    sh("ip", "link", "set", "br-present", "mtu", "1400")
    yield
    sh("ip", "link", "set", "br-present", "mtu", "1500")


@seed("links", "down")
def _(node):
    sh("ip", "link", "set", "br-present", "down")
    yield
    sh("ip", "link", "set", "br-present", "up")


@seed("qdiscs")
def _(node):
    sh("tc", "qdisc", "add", "dev", "br-present", "root", "tbf", "rate", "1mbit", "burst", "32kbit", "latency", "400ms")
    yield
    sh("tc", "qdisc", "del", "dev", "br-present", "root")


@seed("addresses")
def _(node):
    sh("ip", "addr", "add", "192.0.2.9/32", "dev", "br-present")
    yield
    sh("ip", "addr", "del", "192.0.2.9/32", "dev", "br-present")


@seed("addresses", "IPv6")
def _(node):
    sh("ip", "addr", "add", "2001:db8::9/128", "dev", "br-present", "nodad")
    yield
    sh("ip", "addr", "del", "2001:db8::9/128", "dev", "br-present")


@seed("routes")
def _(node):
    sh("ip", "route", "add", "198.51.100.0/24", "dev", "br-present")
    yield
    sh("ip", "route", "del", "198.51.100.0/24", "dev", "br-present")


@seed("routes", "rule")
def _(node):
    sh("ip", "rule", "add", "from", "198.51.100.1", "table", "77")
    yield
    sh("ip", "rule", "del", "from", "198.51.100.1", "table", "77")


@seed("neighbours")
def _(node):
    sh("ip", "neigh", "add", "192.0.2.77", "lladdr", "02:00:00:00:00:77", "dev", "br-present", "nud", "permanent")
    yield
    sh("ip", "neigh", "del", "192.0.2.77", "dev", "br-present")


@seed("nft")
def _(node):
    sh("nft", "add", "table", "inet", "left")
    yield
    sh("nft", "delete", "table", "inet", "left")


@seed("nft", "order of rules")
def _(node):
    for rule in ("tcp dport 2 accept", "tcp dport 1 accept"):
        sh("nft", "flush", "chain", "inet", "present", "c") if rule.startswith("tcp dport 2") else None
        sh("nft", "add", "rule", "inet", "present", "c", *rule.split())
    yield
    sh("nft", "flush", "chain", "inet", "present", "c")
    for port in "12":
        sh("nft", "add", "rule", "inet", "present", "c", "tcp", "dport", port, "accept")


@seed("iptables")
def _(node):
    sh("iptables", "-A", "FORWARD", "-s", "198.51.100.1", "-m", "comment", "--comment", "left", "-j", "DROP")
    yield
    sh("iptables", "-D", "FORWARD", "-s", "198.51.100.1", "-m", "comment", "--comment", "left", "-j", "DROP")


@seed("sysctl")
def _(node):
    yield from change("/proc/sys/net/ipv4/tcp_syn_retries", "3")


@seed("hugepages")
def _(node):
    # In use, not only there: what a file in hugetlbfs holds. The pool of the machine has one page more for this moment.
    path = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
    yield from change(path, str(int(path.read_text()) + 1))


@seed("thp")
def _(node):
    yield from change("/sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none", "500")


@seed("ksm")
def _(node):
    yield from change("/sys/kernel/mm/ksm/sleep_millisecs", "21")


@seed("cgroups")
def _(node):
    Path("/sys/fs/cgroup/left").mkdir()
    yield
    Path("/sys/fs/cgroup/left").rmdir()


@seed("cgroups", "limit")
def _(node):
    group = Path("/sys/fs/cgroup/present")
    yield from change(group / "cpu.shares" if (group / "cpu.shares").exists() else group / "cpu.weight", "77")


@seed("mounts")
def _(node):
    sh("mount", "-t", "tmpfs", "left", "/mnt/left")
    yield
    sh("umount", "/mnt/left")


@seed("mounts", "read-only")
def _(node):
    sh("mount", "-o", "remount,ro", "/mnt")
    yield
    sh("mount", "-o", "remount,rw", "/mnt")


@seed("loop")
def _(node):
    device = subprocess.run(
        ["losetup", "--find", "--show", str(node.work / "loop.img")], check=True, capture_output=True, text=True
    ).stdout.strip()
    yield
    sh("losetup", "-d", device)
    gone = Path("/sys/block") / Path(device).name / "loop"
    wait.until(lambda: not gone.exists(), 10, f"{device} to be free")


@seed("sockets")
def _(node):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 4711))
        listener.listen()
        yield


@seed("sockets", "udp")
def _(node):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as bound:
        bound.bind(("::", 5610))
        yield


@seed("sockets", "unix")
def _(node):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("/run/left.sock")
        listener.listen()
        yield
    Path("/run/left.sock").unlink()
