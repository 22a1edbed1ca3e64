# SPDX-License-Identifier: GPL-2.0-or-later
"""What libvirt tells of a host, this one or one that is only a URI: builds, machine types, migration, CPUs, pools, networks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Optional
from xml.etree import ElementTree as ET

from avocado_hvqual.preparation.likeness.profile import Fact
from avocado_hvqual.preparation.model import Node

_TIMEOUT_S = 15.0
KINDS = ("kvm", "qemu")
#: What libvirt alone tells.
_ALL = ("libvirt", "qemu.version", "qemu.machine_types", "qemu.domain_types", "pool", "network")


def _virsh(node: Node, uri: str, *words: str) -> Optional[str]:
    run = node.run(["virsh", "-q", "-c", uri, *words], timeout=_TIMEOUT_S)
    return run.stdout if run.ok else None


def gather(node: Node, uri: str, facts: dict[str, Fact], unseen: dict[str, str]) -> dict[str, str]:
    """Put what the libvirt at *uri* tells into *facts*, what it does not into *unseen*; return its CPUs by kind of domain."""
    capabilities = _tree(_virsh(node, uri, "capabilities"))
    if capabilities is None:
        unseen.update(dict.fromkeys(_ALL, f"libvirt does not answer at {uri}"))
        return {}
    _host(capabilities, facts)
    _versions(_virsh(node, uri, "version", "--daemon"), facts, unseen)
    _pools(node, uri, facts, unseen)
    _networks(node, uri, facts, unseen)
    return cpus(node, uri)


def _tree(text: Optional[str]) -> Optional[ET.Element]:
    try:
        return ET.fromstring(text) if text else None  # noqa: S314 - from a libvirtd that the operator named
    except ET.ParseError:
        return None


def _host(capabilities: ET.Element, facts: dict[str, Fact]) -> None:
    """Put the host's UUID, what it can migrate and how, its security models and its machine types."""
    facts["libvirt.host_uuid"] = capabilities.findtext("host/uuid", "")
    found = capabilities.find("host/migration_features")
    migration = [] if found is None else [element.tag for element in found if element.tag != "uri_transports"]
    facts["libvirt.migration_features"] = tuple(sorted(migration))
    uris = capabilities.findall("host/migration_features/uri_transports/uri_transport")
    facts["libvirt.migration_transports"] = tuple(sorted(element.text or "" for element in uris))
    models = capabilities.findall("host/secmodel/model")
    facts["libvirt.security_models"] = tuple(sorted(element.text or "" for element in models))
    arch = capabilities.findtext("host/cpu/arch", "")
    facts["libvirt.arch"] = arch
    guests = [it for it in capabilities.findall("guest") if it.find(f"arch[@name='{arch}']") is not None]
    machines = {element.text or "" for guest in guests for element in guest.findall("arch/machine")}
    facts["qemu.machine_types"] = tuple(sorted(machines))
    kinds = {element.get("type", "") for guest in guests for element in guest.findall("arch/domain")}
    facts["qemu.domain_types"] = tuple(sorted(kinds))


def _versions(text: Optional[str], facts: dict[str, Fact], unseen: dict[str, str]) -> None:
    """Put the versions of libvirt's library, its daemon and the QEMU that it runs."""
    words = {"libvirt.library": r"Using library: libvirt (\S+)", "qemu.version": r"Running hypervisor: QEMU (\S+)"}
    for name, pattern in {**words, "libvirt.daemon": r"Running against daemon: (\S+)"}.items():
        found = re.search(pattern, text or "")
        if found:
            facts[name] = found.group(1)
        else:
            unseen[name] = "virsh version --daemon does not tell"


def programs(node: Node, facts: dict[str, Fact], unseen: dict[str, str]) -> None:
    """Put the digest of each QEMU that the operator describes: builds of one version are not the same build."""
    for entry in node.expected["qemu"]:
        run = node.run(["sha256sum", "--", entry["path"]])
        name = f"qemu.sha256 of {entry['path']}"
        if run.ok and run.stdout:
            facts[name] = run.stdout.split()[0]
        else:
            unseen[name] = run.why


def _each(node: Node, uri: str, command: str, kind: str, unseen: dict[str, str]) -> Iterator[tuple[str, ET.Element]]:
    """Yield name and XML of each pool (*command* pool) or network (net) there is; what does not answer is put into *unseen*."""
    listed = _virsh(node, uri, f"{command}-list", "--all", "--name")
    if listed is None:
        unseen[kind] = f"virsh {command}-list does not answer"
    # One a line: a pool's name may hold a blank.
    for name in filter(None, map(str.strip, (listed or "").splitlines())):
        tree = _tree(_virsh(node, uri, f"{command}-dumpxml", name))
        if tree is None:
            unseen[f"{kind}.{name}"] = f"virsh {command}-dumpxml does not answer"
        else:
            yield name, tree


def _pools(node: Node, uri: str, facts: dict[str, Fact], unseen: dict[str, str]) -> None:
    for name, tree in _each(node, uri, "pool", "pool", unseen):
        facts[f"pool.{name}"] = f"{tree.get('type', '')} at {tree.findtext('target/path', '')}"
        facts[f"pool.{name}.capacity_mib"] = int(tree.findtext("capacity", "0")) >> 20


def _networks(node: Node, uri: str, facts: dict[str, Fact], unseen: dict[str, str]) -> None:
    for name, tree in _each(node, uri, "net", "network", unseen):
        forward, bridge = tree.find("forward"), tree.find("bridge")
        told = ["isolated" if forward is None else forward.get("mode", "nat")]
        told += ["on", bridge.get("name", "")] if bridge is not None else []
        tags = [tag.get("id", "") for tag in tree.findall("vlan/tag")]
        facts[f"network.{name}"] = " ".join([*told, "VLAN", *tags] if tags else told)


def cpus(node: Node, uri: str) -> dict[str, str]:
    """Return the <cpu> that libvirt calls host-model, by kind of domain: what a guest is promised, and must find where it goes."""
    found = {}
    for kind in KINDS:
        tree = _tree(_virsh(node, uri, "domcapabilities", "--virttype", kind))
        mode = None if tree is None else tree.find("cpu/mode[@name='host-model'][@supported='yes']")
        if mode is not None and mode.find("model") is not None:
            mode.tag = "cpu"
            mode.attrib.clear()
            mode.tail = None
            found[kind] = ET.tostring(mode, encoding="unicode")
    return found
