# SPDX-License-Identifier: GPL-2.0-or-later
"""What libvirt manages: domains, networks, pools, nwfilters, secrets and snapshots, each with what defines it."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Callable

from provider.hvqual import marks
from provider.hvqual.node_items.source import Source

STATES = ("no state", "running", "blocked", "paused", "shutting down", "shut off", "crashed", "suspended")
# libvirt writes how full a pool is into its XML: that is no definition and changes with every image written.
_FILL = re.compile(r"<(capacity|allocation|available)\b.*?</\1>", re.DOTALL)


def _sha(xml: str) -> str:
    return hashlib.sha256(xml.encode()).hexdigest()[:16]


def _yes(value: Any) -> str:
    return "yes" if value else "no"


def read_all(connection: Any) -> dict[str, list[str]]:
    """The lines of all six kinds from one read-only connection."""
    libvirt = marks.libvirt_module()
    domains = connection.listAllDomains()
    return {
        "domains": [_domain(libvirt, domain) for domain in domains],
        "snapshots": [line for domain in domains for line in _snapshots(libvirt, domain)],
        "networks": _each(libvirt, connection.listAllNetworks, _network),
        "pools": _each(libvirt, connection.listAllStoragePools, _pool),
        "nwfilters": _each(libvirt, connection.listAllNWFilters, _nwfilter),
        "secrets": _each(libvirt, connection.listAllSecrets, _secret),
    }


def _each(libvirt: Any, ask: Callable[..., list[Any]], tell: Callable[[Any, Any], str]) -> list[str]:
    """A line for each thing of one kind; a driver that lacks the kind says so."""
    try:
        return [tell(libvirt, it) for it in ask()]
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        return ["none = this libvirt driver has no such thing"]


def _nwfilter(_libvirt: Any, nwfilter: Any) -> str:
    return f"{nwfilter.name()} = uuid {nwfilter.UUIDString()}, xml {_sha(nwfilter.XMLDesc(0))}"


def _secret(_libvirt: Any, secret: Any) -> str:
    return f"{secret.UUIDString()} = {secret.usageID()}, xml {_sha(secret.XMLDesc(0))}"


def _domain(libvirt: Any, domain: Any) -> str:
    """A domain by its inactive definition: the live one holds numbers that change by themselves (balloon, ids, paths)."""
    state = domain.state()[0]
    persistent = domain.isPersistent()
    xml = _sha(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)) if persistent else "transient"
    return (
        f"{domain.name()} = uuid {domain.UUIDString()}, {STATES[state] if state < len(STATES) else state}, "
        f"persistent {_yes(persistent)}, autostart {_yes(persistent and domain.autostart())}, "
        f"saved {_yes(persistent and domain.hasManagedSaveImage(0))}, xml {xml}"
    )


def _snapshots(libvirt: Any, domain: Any) -> list[str]:
    """A domain's snapshots and checkpoints."""

    def snapshot(_libvirt: Any, it: Any) -> str:
        return f"{domain.name()}/{it.getName()} = snapshot, xml {_sha(it.getXMLDesc(0))}"

    def checkpoint(_libvirt: Any, it: Any) -> str:
        return f"{domain.name()}/{it.getName()} = checkpoint"

    found = _each(libvirt, domain.listAllSnapshots, snapshot) + _each(libvirt, domain.listAllCheckpoints, checkpoint)
    return [line for line in found if not line.startswith("none = ")]


def _network(libvirt: Any, network: Any) -> str:
    persistent = network.isPersistent()
    xml = network.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE if persistent else 0)
    return (
        f"{network.name()} = uuid {network.UUIDString()}, active {_yes(network.isActive())}, persistent {_yes(persistent)}, "
        f"autostart {_yes(persistent and network.autostart())}, xml {_sha(xml)}"
    )


def _pool(libvirt: Any, pool: Any) -> str:
    persistent = pool.isPersistent()
    xml = _FILL.sub("", pool.XMLDesc(libvirt.VIR_STORAGE_XML_INACTIVE if persistent else 0))
    return (
        f"{pool.name()} = uuid {pool.UUIDString()}, active {_yes(pool.isActive())}, persistent {_yes(persistent)}, "
        f"autostart {_yes(persistent and pool.autostart())}, xml {_sha(xml)}"
    )


def domains(source: Source) -> list[str]:
    """All domains: uuid, state, persistent, autostart, managed save, definition."""
    return source.objects("domains")


def networks(source: Source) -> list[str]:
    """All networks: uuid, active, persistent, autostart, definition."""
    return source.objects("networks")


def pools(source: Source) -> list[str]:
    """All storage pools: uuid, active, persistent, autostart, definition without fill levels."""
    return source.objects("pools")


def nwfilters(source: Source) -> list[str]:
    """All network filters."""
    return source.objects("nwfilters")


def secrets(source: Source) -> list[str]:
    """All secrets by uuid and usage; never their values."""
    return source.objects("secrets")


def snapshots(source: Source) -> list[str]:
    """All snapshots and checkpoints of all domains."""
    return source.objects("snapshots")
