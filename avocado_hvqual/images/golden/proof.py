# SPDX-License-Identifier: GPL-2.0-or-later
"""
A built image is believed once a guest of it has been seen: by its console, its agent, its heartbeat and ssh, which must tell of one boot.

What was seen is one thing, what is wrong with it another: the second half of this module starts nothing.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.guest import Guest
from avocado_hvqual.wait import WaitTimeoutError, until

LOGIN_SECONDS = 60.0
_SETTLED_SECONDS = 240.0
_ADDRESS_SECONDS = 60.0
_FACTS = """
echo "kernel=$(uname -r)"
echo "cmdline=$(cat /proc/cmdline)"
echo "machine_id=$(cat /etc/machine-id)"
echo "boot_id=$(cat /proc/sys/kernel/random/boot_id)"
echo "state=$(systemctl is-system-running --wait)"
echo "failed=$(systemctl --failed --plain --no-legend | cut -d' ' -f1 | tr '\\n' ' ')"
echo "host_key=$(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2)"
echo "mac=$(cat /sys/class/net/eth0/address)"
echo "crash_kernel=$(cat /sys/kernel/kexec_crash_loaded)"
echo "witness=$(/usr/sbin/hv-witness report | sed -n 's/^boot_id=//p')"
"""
_ADDRESS = "ip -4 -o addr show dev eth0 scope global | awk '{print $4}' | cut -d/ -f1"
_PACKAGES = "dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\\n'"


@dataclass(frozen=True)
class Seen:
    """What was seen of one guest; times in seconds from the start of QEMU."""

    name: str
    asked_login: float
    logged_in: float
    facts: Mapping[str, str]
    address: str
    heartbeat: str
    """The boot id that the heartbeat on the serial port told."""
    ssh_boot: str
    ssh_key: str
    """Boot id and host key as ssh saw them, logged in with the password; empty where it was not tried."""
    packages: Mapping[str, str] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return it for a file, the packages apart."""
        return {name: value for name, value in asdict(self).items() if name != "packages"}


def look(guest: Guest, password: Path, prompt: str, port: int, programs: Programs) -> Seen:
    """Log in on the console, ask the agent, listen to the heartbeat and log in by ssh on loopback's *port* (0: not)."""
    asked, logged_in = guest.login(password.read_text(encoding="ascii").strip(), prompt)
    guest.agent.ready(_ADDRESS_SECONDS)
    status, text = guest.agent.run(_FACTS, _SETTLED_SECONDS)
    if status != 0:
        msg = f"'{guest.wanted.name}' could not tell of itself (status {status}): {text.strip()[-300:]}"
        raise ImageError(msg)
    address = _address(guest)
    beat = guest.witness.wait(
        r"^HB1 \S+ (\S+) \d+ \d+$", 20, f"a heartbeat of '{guest.wanted.name}'", len(guest.witness.read())
    )
    ssh_boot, ssh_key = by_ssh(port, password, programs) if port else ("", "")
    packages = parse_packages(guest.agent.run(_PACKAGES)[1])
    return Seen(
        guest.wanted.name, asked, logged_in, parse_facts(text), address, beat.group(1), ssh_boot, ssh_key, packages
    )


def _address(guest: Guest) -> str:
    """Return the address of the guest's first interface as soon as it has one."""

    def leased() -> str:
        return guest.agent.run(_ADDRESS)[1].strip()

    try:
        return until(leased, _ADDRESS_SECONDS, f"an address of '{guest.wanted.name}'", 0.5)
    except WaitTimeoutError as error:
        raise ImageError(str(error)) from error


def by_ssh(port: int, password: Path, programs: Programs) -> tuple[str, str]:
    """Log in as root by ssh with the *password* file's content and return the boot id and the host key's fingerprint."""
    with tempfile.TemporaryDirectory(prefix="hvq-ssh-") as folder:
        ask, known = Path(folder) / "ask", Path(folder) / "known"
        ask.write_text('#!/bin/sh\ncat "$HVQ_PASSWORD"\n', encoding="utf-8")
        ask.chmod(0o700)
        environment = {"SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force", "HVQ_PASSWORD": str(password)}
        options = [
            "PubkeyAuthentication=no",
            "StrictHostKeyChecking=accept-new",
            f"UserKnownHostsFile={known}",
            "ConnectTimeout=30",
        ]
        line = [
            "ssh",
            "-F",
            "none",
            "-p",
            str(port),
            *(word for option in options for word in ("-o", option)),
            "root@127.0.0.1",
        ]
        boot = programs.within(environment=environment).run(
            [*line, "cat /proc/sys/kernel/random/boot_id"], "log in by ssh", timeout=90
        )
        key = programs.run(["ssh-keygen", "-l", "-f", str(known)], "read the host key").split()
    return boot.strip(), key[1]


def parse_facts(text: str) -> dict[str, str]:
    """Return the ``key=value`` lines of *text*."""
    rows = (line.partition("=") for line in text.splitlines() if re.match(r"[a-z_]+=", line))
    return {key: value.strip() for key, _, value in rows}


def parse_packages(text: str) -> dict[str, str]:
    """Return package -> version of those that are whole, of what dpkg-query writes."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 3 and row[2] == "installed"}  # noqa: PLR2004 - name, version, state


def problems(seen: Seen, kernel: str, wanted: Iterable[str], *, own_loader: bool) -> list[str]:
    """Return what is wrong with a guest, a sentence each: its kernel, its services, its packages, its channels, its time to login."""
    facts = seen.facts
    found = [
        f"It runs the kernel '{facts.get('kernel')}', expected '{kernel}'." if facts.get("kernel") != kernel else "",
        f"Its state is '{facts.get('state')}', expected 'running'; failed: {facts.get('failed') or 'none'}."
        if facts.get("state") != "running" or facts.get("failed")
        else "",
        f"It asked for a login after {seen.asked_login} s, at most {LOGIN_SECONDS:g} s are allowed."
        if seen.asked_login > LOGIN_SECONDS
        else "",
        "It has no machine id." if not re.fullmatch(r"[0-9a-f]{32}", facts.get("machine_id", "")) else "",
        *_channels(seen),
        *_boot(facts, own_loader=own_loader),
    ]
    missing = sorted(set(wanted) - set(seen.packages))
    if missing:
        found.append(f"It lacks the packages {', '.join(missing)}.")
    return [sentence for sentence in found if sentence]


def _channels(seen: Seen) -> list[str]:
    """Return a sentence for each channel that tells of another boot than the agent does."""
    boot = seen.facts.get("boot_id")
    told = {
        "heartbeat": seen.heartbeat,
        "witness": seen.facts.get("witness", ""),
        **({"ssh": seen.ssh_boot} if seen.ssh_boot else {}),
    }
    found = [
        f"Its {name} tells of the boot '{other}', its agent of '{boot}'."
        for name, other in told.items()
        if other != boot or not boot
    ]
    if seen.ssh_boot and seen.ssh_key != seen.facts.get("host_key"):
        found.append(f"ssh was given the host key {seen.ssh_key}, it has {seen.facts.get('host_key')}.")
    return found


def _boot(facts: Mapping[str, str], *, own_loader: bool) -> list[str]:
    """Return what is wrong with the way it was booted: GRUB tells the kernel its file, QEMU does not."""
    words = facts.get("cmdline", "").split()
    by_loader = any(word.startswith("BOOT_IMAGE=") for word in words)
    if by_loader != own_loader:
        return [f"It was booted by {'its own boot loader' if by_loader else 'QEMU'}, which was not asked for."]
    if own_loader and facts.get("crash_kernel") != "1":
        return ["No crash kernel is loaded, although memory is set aside for it."]
    return []


def alike(one: Seen, other: Seen) -> list[str]:
    """Return in what two clones do not differ, a sentence each; an empty value is no difference either."""
    pairs = {
        name: (one.facts.get(name, ""), other.facts.get(name, ""))
        for name in ("machine_id", "host_key", "mac", "boot_id")
    }
    pairs["address"] = (one.address, other.address)
    return [
        f"Both '{one.name}' and '{other.name}' have the {name} '{first}'."
        if first == second
        else f"One of two clones has no {name}."
        for name, (first, second) in pairs.items()
        if first == second or not (first and second)
    ]
