# SPDX-License-Identifier: GPL-2.0-or-later
"""Put back what was made in libvirt: only what carries our owner element is ever destroyed or undefined (decision 7)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable

from provider.hvqual import marks

DEFAULT_URI = "qemu:///system"


OPEN_TIMEOUT_S = 10.0


def _open(uri: str) -> Any:
    """Open a connection; a libvirtd that hangs accepts and never answers, so only a thread can be left behind with it."""
    libvirt = marks.libvirt_module()
    answer: list[Any] = []

    def attempt() -> None:
        try:
            answer.append(libvirt.open(uri))
        except libvirt.libvirtError as error:
            answer.append(error)

    worker = threading.Thread(target=attempt, daemon=True)
    worker.start()
    worker.join(OPEN_TIMEOUT_S)
    if not answer or isinstance(answer[0], Exception):
        why = str(answer[0]) if answer else f"no answer in {OPEN_TIMEOUT_S:g} s"
        message = f"libvirtd does not answer at '{uri}' ({why}). Start it, then run: avocado hvqual clean"
        raise ConnectionError(message)
    return answer[0]


@contextmanager
def connection(uri: str) -> Iterator[Any]:
    """Hold a libvirt connection; ConnectionError with what to do when libvirtd is dead or hangs."""
    conn = _open(uri)
    try:
        yield conn
    finally:
        conn.close()


def _lookup(conn: Any, details: dict[str, Any], kind: str) -> Any | None:
    """
    The domain or network that an entry means: by uuid when it is known, else by name; None when it is gone.

    From the list of all: a lookup of what is not there makes libvirt write to stderr.
    """
    things = conn.listAllDomains() if kind == "domain" else conn.listAllNetworks()
    wanted = details.get("uuid")
    return next((it for it in things if (it.UUIDString() == wanted if wanted else it.name() == details["name"])), None)


def domain_exists(uri: str, name: str) -> bool:
    """Whether libvirt knows a domain of this name, ours or not."""
    with connection(uri) as conn:
        return _lookup(conn, {"name": name}, "domain") is not None


def is_ours(domain: Any) -> bool:
    """Whether a domain carries our owner element."""
    return owner_of(domain) is not None


def owner_of(domain: Any) -> dict[str, str] | None:
    """Who of us made a domain: campaign and pid; None when it is not ours."""
    return marks.owner_in(domain.XMLDesc(0))


def _with(details: dict[str, Any], kind: str, act: Callable[[Any], str | None]) -> tuple[str, str]:
    """
    Look a thing up and act on it if it is ours.

    libvirt before 9.7 drops the metadata of networks, so a network is ours by our prefix and the uuid that we chose and recorded;
    so is a domain whose entry has its uuid: a program that makes it and puts no mark into it was told that uuid.
    """
    name = details["name"]
    with connection(details.get("uri") or DEFAULT_URI) as conn:
        thing = _lookup(conn, details, kind)
        if thing is None:
            return "gone", f"there is no {kind} '{name}' any more"
        named = bool(details.get("uuid")) and name.startswith(marks.PREFIX) and thing.name() == name
        if not (named or (kind == "domain" and is_ours(thing))):
            return "gone", f"the {kind} '{name}' does not carry our mark: left alone"
        did = act(thing)
        thing = _lookup(conn, details, kind)
        if thing is not None and (thing.isActive() if act is _destroy else thing.isPersistent()):
            return "failed", f"the {kind} '{name}' is still there after libvirt said that it was {did or 'not running'}"
        return ("restored", f"{kind} '{name}' {did}") if did else ("gone", f"{kind} '{name}' was so already")


def destroy_domain(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Destroy a domain of ours if it runs."""
    return _with(details, "domain", _destroy)


def undefine_domain(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Undefine a domain of ours with its saved state, snapshots' metadata, checkpoints' metadata and NVRAM."""
    return _with(details, "domain", undefine)


def destroy_network(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Stop a network of ours if it is active."""
    return _with(details, "network", _destroy)


def undefine_network(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Undefine a network of ours if it is persistent."""
    return _with(details, "network", _undefine_network)


def _destroy(thing: Any) -> str | None:
    """
    Destroy a domain or a network; None when it was not running, or ended by itself before libvirt came to it.

    A QEMU that had just been killed was active when it was asked, and libvirt 9.0 then refused to destroy what was not running; `_with`
    looks whether it is really gone.
    """
    if not thing.isActive():
        return None
    libvirt = marks.libvirt_module()
    try:
        thing.destroy()
    except libvirt.libvirtError as error:
        ended = (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_NETWORK)
        if error.get_error_code() not in ended:
            raise
        return None
    return "destroyed"


def _undefine_network(network: Any) -> str | None:
    if not network.isPersistent():
        return None
    network.undefine()
    return "undefined"


def undefine(domain: Any) -> str | None:
    """Undefine one domain with all that libvirt keeps about it; None when it is transient."""
    libvirt = marks.libvirt_module()
    if not domain.isPersistent():
        return None
    flags = (
        libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    )
    domain.undefineFlags(flags)
    return "undefined"
