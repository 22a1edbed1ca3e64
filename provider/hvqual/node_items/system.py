# SPDX-License-Identifier: GPL-2.0-or-later
"""The operating system: modules, users, groups, packages, systemd's units."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from provider.hvqual.node_items.source import Source

_FIELD = re.compile(r"^(Package|Status|Version|Architecture): (.*)$", re.MULTILINE)
_DPKG = "/var/lib/dpkg/status"
_RPM = ("/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite")
_UNITS = [
    "systemctl",
    "list-units",
    "--all",
    "--plain",
    "--no-legend",
    "--no-pager",
    "--type=service,socket,timer,path",
]
IGNORED_UNITS: dict[str, str] = {
    r"(user|user-runtime-dir)@\d+\.service": "login sessions",
    r"(session|run)-.*": "transient units",
    r"systemd-(hostnamed|timedated|localed|userdbd.*|udevd.*|networkd-wait-online|tmpfiles-clean)\.service": "on demand",
    r"(packagekit|polkit|dbus-org.*|fwupd.*|apt-.*|man-db|logrotate|fstrim|motd-news|udisks2)\.service": "on demand or by a timer",
}
_IGNORED = re.compile("(?:" + "|".join(IGNORED_UNITS) + ")$")
IGNORED_MODULES: dict[str, str] = {
    r"(af_packet|inet|mptcp|netlink|raw|sctp|smc|tcp|udp|unix|vsock|xsk)_diag": "loaded when somebody lists sockets (ss)",
}
_NO_MATTER = re.compile("|".join(IGNORED_MODULES))
# States that last; a oneshot is 'activating' for a moment and a socket-activated daemon of libvirt ends when idle.
_LASTING = {"running", "failed", "listening", "waiting", "exited"}
_IDLE_DAEMONS = re.compile(r"(virt[a-z]+d|libvirtd)\.service$")


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def modules(source: Source) -> list[str]:
    """Loaded modules, and the parameters of KVM and vhost (nested and its kin)."""
    loaded = [line.split(" ", 1)[0] for line in (source.text("/proc/modules") or "").splitlines()]
    lines = [module for module in loaded if not _NO_MATTER.fullmatch(module)]
    for module in source.names("/sys/module"):
        if module.startswith(("kvm", "vhost")):
            folder = f"/sys/module/{module}/parameters"
            lines += [f"{module} {name} = {source.setting(f'{folder}/{name}')}" for name in source.names(folder)]
    return lines


def _accounts(source: Source, public: str, secret: str) -> list[str]:
    """An account file's lines by name; passwords as hashes of their hashes."""
    lines = []
    for line in (source.text(public) or "").splitlines():
        name, _, rest = line.partition(":")
        password, _, facts = rest.partition(":")
        lines.append(f"{name} = {facts}" + (f", password {_sha(password)}" if len(password) > 1 else ""))
    lines += [f"{line.partition(':')[0]} secret = {_sha(line)}" for line in (source.text(secret) or "").splitlines()]
    return lines or [f"none = '{public}' is not there"]


def users(source: Source) -> list[str]:
    """Users with all that /etc/passwd and /etc/shadow say."""
    return _accounts(source, "/etc/passwd", "/etc/shadow")


def groups(source: Source) -> list[str]:
    """Groups and their members."""
    return _accounts(source, "/etc/group", "/etc/gshadow")


def packages(source: Source) -> list[str]:
    """Installed packages and versions from dpkg's status file, else the hash of the RPM database."""
    text = source.text(_DPKG)
    if text is None:
        return _rpm(source)
    lines: list[str] = []
    facts: dict[str, str] = {}
    for key, value in [*_FIELD.findall(text), ("Package", "")]:
        if key == "Package":
            if facts:
                lines.append(
                    f"{facts['Package']}:{facts.get('Architecture', '')} = {facts.get('Version', '-')}, {facts.get('Status', '')}"
                )
            facts = {}
        facts[key] = value
    return lines or [f"none = '{_DPKG}' names no package"]


def _rpm(source: Source) -> list[str]:
    for path in _RPM:
        try:
            with open(source.path(path), "rb") as stream:  # noqa: PTH123
                return [f"{path} = {hashlib.sha256(stream.read()).hexdigest()[:16]}"]
        except OSError:
            continue
    return ["none = neither dpkg's status file nor an RPM database is there"]


def commands(source: Source) -> Mapping[str, Sequence[str]]:
    """The command that item 'units' needs on this node."""
    return {"units": _UNITS} if "system" in source.names("/run/systemd") else {}


def units(source: Source) -> list[str]:
    """Units in a lasting state, and which are enabled (links beneath /etc/systemd/system); where systemd runs."""
    if not commands(source):
        return ["none = systemd does not run here"]
    lines = []
    for line in source.output("units").splitlines():
        name, _, active, sub = [*line.split(None, 4), "", "", "", ""][:4]
        if sub in _LASTING and not _IGNORED.match(name) and not (_IDLE_DAEMONS.match(name) and sub != "failed"):
            lines.append(f"{name} = {active} {sub}")
    for folder in source.names("/etc/systemd/system"):
        lines += [f"enabled {folder}/{name}" for name in source.names(f"/etc/systemd/system/{folder}")] or [
            f"file {folder}"
        ]
    return lines
