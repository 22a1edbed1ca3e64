# SPDX-License-Identifier: GPL-2.0-or-later
"""One leftover for each item of the node's state, made on a throw-away node and taken away again."""

from __future__ import annotations

import os
import time
from pathlib import Path

from provider.hvqual import node_state, wait
from provider.hvqual.node_items import source
from provider.tests import leftovers_kernel  # it registers its seeds
from provider.tests.leftovers_base import SEEDS, appended, seed, sh


def defined(make, remove):
    """Something of libvirt's for the block."""
    thing = make()
    yield thing
    remove(thing)


def domain_xml(name, owner=""):
    metadata = f"<metadata>{owner}</metadata>" if owner else ""
    return f"<domain type='qemu'><name>{name}</name>{metadata}<memory>65536</memory><os><type arch='x86_64'>hvm</type></os></domain>"


@seed("domains")
def _(node):
    yield from defined(lambda: node.conn.defineXML(domain_xml("left")), lambda it: it.undefine())


@seed("domains", "autostart")
def _(node):
    node.domain.setAutostart(1)
    yield
    node.domain.setAutostart(0)


@seed("snapshots")
def _(node):
    xml = (
        "<domainsnapshot><name>s</name><state>shutoff</state><creationTime>1</creationTime><memory snapshot='no'/>"
        f"{node.domain.XMLDesc(0)}</domainsnapshot>"
    )
    redefine, metadata_only = 1, 2
    yield from defined(lambda: node.domain.snapshotCreateXML(xml, redefine), lambda it: it.delete(metadata_only))


@seed("networks")
def _(node):
    yield from defined(
        lambda: node.conn.networkDefineXML("<network><name>left</name></network>"), lambda it: it.undefine()
    )


@seed("pools")
def _(node):
    xml = "<pool type='dir'><name>left</name><target><path>/var/lib/libvirt/images</path></target></pool>"
    yield from defined(lambda: node.conn.storagePoolCreateXML(xml), lambda it: it.destroy())


@seed("nwfilters")
def _(node):
    yield from defined(lambda: node.conn.nwfilterDefineXML("<filter name='left'/>"), lambda it: it.undefine())


@seed("secrets")
def _(node):
    xml = "<secret><description>left</description></secret>"
    yield from defined(lambda: node.conn.secretDefineXML(xml), lambda it: it.undefine())


@seed("users")
def _(node):
    yield from appended("/etc/passwd", "left:x:4711:4711::/nonexistent:/usr/sbin/nologin\n")


@seed("users", "password")
def _(node):
    yield from appended("/etc/shadow", "left:$6$x:1::::::\n")


@seed("groups")
def _(node):
    yield from appended("/etc/group", "left:x:4711:root\n")


@seed("packages")
def _(node):
    yield from appended(
        "/var/lib/dpkg/status", "\nPackage: left\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n"
    )


@seed("etc_libvirt")
def _(node):
    Path("/etc/libvirt/left.conf").write_text("x")
    yield
    Path("/etc/libvirt/left.conf").unlink()


@seed("etc_libvirt", "content of the same size and time")
def _(node):
    path = Path("/etc/libvirt/qemu.conf")
    facts, text = path.stat(), path.read_text()
    path.write_text("!" + text[1:])
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    yield
    path.write_text(text)


@seed("var_lib_libvirt")
def _(node):
    folder = Path("/var/lib/libvirt/qemu/nvram")
    (folder / "left_VARS.fd").write_bytes(bytes(100_000))
    yield
    (folder / "left_VARS.fd").unlink()


@seed("images")
def _(node):
    Path("/var/lib/libvirt/images/left.qcow2").write_text("x")
    yield
    Path("/var/lib/libvirt/images/left.qcow2").unlink()


@seed("images", "owner of a large one")
def _(node):
    path = Path("/var/lib/libvirt/images/present.img")
    os.chown(path, 4711, 4711)
    yield
    os.chown(path, 0, 0)


@seed("images", "a written large one")
def _(node):
    path = Path("/var/lib/libvirt/images/present.img")
    facts = path.stat()
    with path.open("r+b") as image:
        image.write(b"x")
    yield
    with path.open("r+b") as image:
        image.write(b"\0")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


__all__ = ["SEEDS", "leftovers_kernel", "run"]


def furnish(node):
    """What stands on the node before: the seeds change it."""
    Path("/mnt/left").mkdir()
    Path("/sys/fs/cgroup/present").mkdir()
    sh("ip", "link", "add", "br-present", "address", "02:00:00:00:00:01", "type", "bridge")
    sh("ip", "link", "set", "br-present", "up")
    sh("nft", "add", "table", "inet", "present")
    sh("nft", "add", "chain", "inet", "present", "c")
    for port in "12":
        sh("nft", "add", "rule", "inet", "present", "c", "tcp", "dport", port, "accept")
    sh("iptables", "-N", "PRESENT")
    sh("iptables", "-A", "FORWARD", "-j", "PRESENT")
    for path in (Path("/var/lib/libvirt/images/present.img"), node.work / "loop.img"):
        with path.open("wb") as image:
            image.truncate(1 << 20)
    node.domain = node.conn.defineXML(domain_xml("present"))
    node.present = node.process("/usr/bin/qemu-system-x86_64", "-name", "present")


def measured(node, times=10):
    """Seconds of some captures of an idle node, and what differed between them."""
    first, seconds, moved = node_state.capture(), [], []
    for _ in range(times):
        start = time.perf_counter()
        state = node_state.capture()
        seconds.append(time.perf_counter() - start)
        moved += node_state.diff(first, state)
    return {"seconds": seconds, "moved": moved, "unreachable": first.unreachable, "digests": 1 if not moved else 2}


def run(node):
    """For each seed the differences it made and what stayed after it was taken away."""
    furnish(node)
    answer = {"idle": measured(node), "seeds": {}}
    for name, plant in SEEDS.items():
        before = node_state.capture()
        with plant(node):
            during = node_state.capture()
        after = node_state.capture()
        answer["seeds"][name] = {"seen": node_state.diff(before, during), "stayed": node_state.diff(before, after)}
    hang(node, answer)
    return answer


def hang(node, answer):
    """A libvirtd that is stopped, and one that is gone."""
    source.LIBVIRT_TIMEOUT_S = 1.0
    pid = int(Path("/run/libvirtd.pid").read_text())
    os.kill(pid, 19)
    start = time.perf_counter()
    answer["hung"] = {"lines": node_state.capture().items["domains"], "seconds": time.perf_counter() - start}
    os.kill(pid, 18)
    os.kill(pid, 9)
    wait.until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text(), 5, "its end")
    answer["dead"] = node_state.capture().items["domains"]
