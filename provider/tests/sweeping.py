# SPDX-License-Identifier: GPL-2.0-or-later
"""Real changes on a throw-away node, real kills in the middle, and what undo and sweep make of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

from provider.hvqual import host_state, marks, node_state, sweep, undo, wait

ROOT = Path(__file__).resolve().parents[2]
HOME = Path("/var/lib/avocado-hvqual")
OWNER = marks.owner_element("test", 1)
UNDO_HOME = {"AVOCADO_HVQUAL_HOME": str(HOME), "HVQUAL_HOST_ID": "local"}


def sh(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def domain_xml(name, owner=OWNER):
    return (
        f"<domain type='qemu'><name>{name}</name><metadata>{owner}</metadata><memory>65536</memory>"
        "<os><type arch='x86_64' machine='pc'>hvm</type></os>"
        "<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><memballoon model='none'/></devices></domain>"
    )


CHILD = """
import sys
sys.path.insert(0, {root!r})
from provider.hvqual import host_state, marks
libvirt = marks.libvirt_module()
conn = libvirt.open("qemu:///system")
with {block}:
    {act}
    print("inside", flush=True)
    sys.stdin.read()
"""


def killed_inside(block, act="pass"):
    """Run *act* within *block* in a process and kill that -9 in the middle."""
    script = CHILD.format(root=str(ROOT), block=block, act=act)
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "inside\n"
    seen = node_state.capture()
    child.kill()
    child.wait()
    return seen


def names(node):
    return sorted(domain.name() for domain in node.conn.listAllDomains())


def guards(node, log):
    """A domain guard that ends well, one on a name that is taken, one whose process is killed with the guest running."""
    answer = {}
    before = node_state.capture()
    with host_state.domain_guard(node.uri, "hvq-guarded", log=log):
        domain = node.conn.defineXML(domain_xml("hvq-guarded"))
        domain.createWithFlags(1)
        answer["inside"] = names(node)
    answer["after"] = node_state.diff(before, node_state.capture())
    try:
        with host_state.domain_guard(node.uri, "hvq-foreign", log=log):
            pass
    except host_state.HostStateError as error:
        answer["taken"] = str(error)
    with host_state.domain_guard(node.uri, "hvq-unmarked", log=log):
        node.conn.defineXML(domain_xml("hvq-unmarked", owner=""))
    answer["unmarked"] = "hvq-unmarked" in names(node)
    node.conn.lookupByName("hvq-unmarked").undefine()
    act = f"conn.defineXML({domain_xml('hvq-killed')!r}).createWithFlags(1)"
    seen = killed_inside("host_state.domain_guard('qemu:///system', 'hvq-killed')", act)
    answer["killed inside"] = node_state.diff(before, seen)
    answer["replayed"] = [outcome.status for outcome in log.replay()]
    answer["killed after"] = node_state.diff(before, node_state.capture())
    return answer


def networks(node, log):
    """A network of ours is stopped and undefined by its uuid; one that took our name with another uuid is not."""
    ours, other = str(uuid.uuid4()), str(uuid.uuid4())
    before = node_state.capture()
    entries = [
        log.record(action, name="hvq-net", uuid=number)
        for number in (other, ours)
        for action in ("undefine_network", "destroy_network")
    ]
    xml = f"<network><name>hvq-net</name><uuid>{ours}</uuid><bridge name='hvqbr9'/></network>"
    node.conn.networkDefineXML(xml).create()
    during = node_state.diff(before, node_state.capture())
    outcomes = [outcome.status for outcome in log.replay(force=True)]
    return {
        "entries": len(entries),
        "during": during,
        "outcomes": outcomes,
        "after": node_state.diff(before, node_state.capture()),
    }


def cable():
    """A pair of links with addresses and routes, which have settled."""
    sh("ip", "link", "add", "hvqv0", "type", "veth", "peer", "name", "hvqv1")
    for command in (
        "ip link set hvqv0 up",
        "ip link set hvqv1 up",
        "ip addr add 192.0.2.1/24 dev hvqv0",
        "ip addr add 2001:db8::1/64 dev hvqv0 nodad",
        "ip route add 198.51.100.0/24 via 192.0.2.9 dev hvqv0 metric 7",
        "ip -6 route add 2001:db8:1::/64 via 2001:db8::9 dev hvqv0",
        "ip route add 203.0.113.0/24 dev hvqv0 table 99",
    ):
        sh(*command.split())
    wait.until(lambda: "tentative" not in sh("ip", "-6", "addr", "show", "dev", "hvqv0"), 10, "addresses to settle")


def links(log):
    """A link that goes down loses IPv6 addresses and routes; all come back, also after a kill."""
    cable()
    before = node_state.capture()
    with host_state.link_down("hvqv0", log=log):
        inside = node_state.diff(before, node_state.capture())
    wait.until(lambda: node_state.diff(before, node_state.capture()) == [], 5, "the link-local address to come back")
    seen = killed_inside("host_state.link_down('hvqv0')")
    outcomes = [outcome.message for outcome in log.replay()]
    wait.until(lambda: node_state.diff(before, node_state.capture()) == [], 5, "the link-local address to come back")
    answer = {"inside": inside, "killed": node_state.diff(before, seen), "outcomes": outcomes, "refused": []}
    sh("ip", "route", "add", "default", "via", "192.0.2.9", "dev", "hvqv0")
    for link in ("hvqv0", "nosuch"):
        try:
            with host_state.link_down(link, log=log):
                pass
        except host_state.HostStateError as error:
            answer["refused"].append(str(error))
    log.record("link_del", link="hvqv0")
    answer["deleted"] = [outcome.status for outcome in log.replay(force=True)]
    return answer


def mounts(log):
    """What we mounted on a folder of ours is unmounted before the folder is removed; the other way round is refused."""
    before = node_state.capture()
    place = Path("/mnt/hvq-place")
    log.record("remove_path", path=str(place))
    place.mkdir()
    sh("mount", "-t", "tmpfs", "hvq", str(place))
    (place / "precious").touch()
    refused = [(outcome.status, outcome.message) for outcome in log.replay(force=True)]
    still = (place / "precious").exists()
    log.record("umount", path=str(place))
    outcomes = [outcome.status for outcome in log.replay(force=True)]
    log.clear_taint()
    return {
        "refused": refused,
        "still": still,
        "outcomes": outcomes,
        "after": node_state.diff(before, node_state.capture()),
    }


def processes(node):
    """A QEMU with our prefix and device, one with the prefix alone, and one with the device alone."""
    port = "virtserialport,name=org.avocado-hvqual.witness.0"
    return (
        node.process("/usr/bin/qemu-system-x86_64", "-name", "hvq-orphan", "-device", port),
        node.process("/usr/bin/qemu-system-x86_64", "-name", "hvq-namesake"),
        node.process("/usr/bin/qemu-system-x86_64", "-name", "production", "-device", port),
    )


def swept(node, log):
    """What carries our mark goes though no log knows of it; what does not, stays; clean only when all is gone."""
    node.conn.defineXML(domain_xml("hvq-lost")).createWithFlags(1)
    node.conn.defineXML(domain_xml("also-ours")).setAutostart(1)
    orphan, namesake, foreign = processes(node)
    images = Path("/var/lib/libvirt/images")
    (images / "hvq-lost.img").write_text("x")
    (images / "production.img").write_text("x")
    for name in ("hvq-foreign", "production"):
        (sweep.QEMU_LOGS / f"{name}.log").write_text("x")
    log.taint("a setting could not be put back")
    answer = {"program": run_sweep()}
    answer["domains"] = names(node)
    answer["images"] = sorted(path.name for path in images.iterdir())
    answer["logs"] = logs()
    answer["alive"] = [child.poll() is None for child in (orphan, namesake, foreign)]
    answer["tainted"] = log.status().tainted
    for child in (namesake, foreign):
        child.kill()
    script = CHILD.format(
        root=str(ROOT),
        block="host_state.temporary_path('/mnt/hvq-living')",
        act="open('/mnt/hvq-living', 'w')",
    )
    living = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    living.stdout.readline()
    answer["living"] = run_sweep(), Path("/mnt/hvq-living").exists()
    answer["forced"] = run_sweep("--force"), Path("/mnt/hvq-living").exists(), living.wait()
    answer["again"] = run_sweep()
    return answer


def logs():
    """The logs that QEMU has on this node."""
    return sorted(path.name for path in sweep.QEMU_LOGS.iterdir())


def run_sweep(*arguments):
    """The program as `avocado hvqual clean` runs it."""
    done = subprocess.run([sys.executable, sweep.__file__, *arguments], capture_output=True, text=True, check=False)
    return {"status": done.returncode, "errors": done.stderr, **json.loads(done.stdout)}


def dead(node):
    """A dead libvirtd: nothing of its guests is touched, and the answer is no."""
    node.conn.defineXML(domain_xml("hvq-kept")).createWithFlags(1)
    before = node_state.capture().items["processes"]
    os.kill(int(Path("/run/libvirtd.pid").read_text()), 9)
    answer = {"program": run_sweep(), "guests": node_state.capture().items["processes"] == before}
    answer["logs"] = logs()
    node.start_libvirtd()
    answer["restarted"] = run_sweep()
    answer["domains"], answer["logs after"] = names(node), logs()
    return answer


def run(node):
    os.environ.update(UNDO_HOME)
    log = undo.UndoLog.of_environment()
    node.conn.defineXML(domain_xml("hvq-foreign", owner=""))
    node.conn.defineXML(domain_xml("production", owner=""))
    return {
        "guards": guards(node, log),
        "networks": networks(node, log),
        "links": links(log),
        "mounts": mounts(log),
        "swept": swept(node, log),
        "dead": dead(node),
    }
