# SPDX-License-Identifier: GPL-2.0-or-later
"""The items of a node's state, written out: one reader each (decision 8)."""

from __future__ import annotations

from typing import Callable

from provider.hvqual.node_items import (
    block,
    cgroups,
    files,
    firewall,
    kernel,
    libvirt_objects,
    network,
    processes,
    sockets,
    sysctl,
    system,
)
from provider.hvqual.node_items.source import Source, UnreachableError

READERS: dict[str, Callable[[Source], list[str]]] = {
    "domains": libvirt_objects.domains,
    "networks": libvirt_objects.networks,
    "pools": libvirt_objects.pools,
    "nwfilters": libvirt_objects.nwfilters,
    "secrets": libvirt_objects.secrets,
    "snapshots": libvirt_objects.snapshots,
    "processes": processes.processes,
    "links": network.links,
    "qdiscs": network.qdiscs,
    "addresses": network.addresses,
    "routes": network.routes,
    "neighbours": network.neighbours,
    "nft": firewall.nft,
    "iptables": firewall.iptables,
    "sysctl": sysctl.sysctl,
    "hugepages": kernel.hugepages,
    "thp": kernel.thp,
    "ksm": kernel.ksm,
    "cpus": kernel.cpus,
    "cgroups": cgroups.cgroups,
    "mounts": block.mounts,
    "loop": block.loop,
    "dm": block.dm,
    "sockets": sockets.sockets,
    "modules": system.modules,
    "users": system.users,
    "groups": system.groups,
    "packages": system.packages,
    "units": system.units,
    "etc_libvirt": files.etc_libvirt,
    "var_lib_libvirt": files.var_lib_libvirt,
    "images": files.images,
}


def read(source: Source) -> dict[str, list[str]]:
    """The lines of every item; an item whose source does not answer has one line that says so."""
    source.prefetch(
        firewall.COMMANDS if source.text("/proc/net/ip_tables_names") in {None, ""} else firewall.COMMANDS_WITH_LEGACY
    )
    source.prefetch(system.commands(source))
    source.prefetch_libvirt(libvirt_objects.read_all)
    items: dict[str, list[str]] = {}
    try:
        for name, reader in READERS.items():
            try:
                items[name] = reader(source)
            except UnreachableError as error:
                items[name] = [f"unreachable = {error}"]
    finally:
        source.close()
    return items
