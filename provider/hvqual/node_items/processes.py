# SPDX-License-Identifier: GPL-2.0-or-later
"""The processes that libvirt and tests leave behind, by what was run, never by number."""

from __future__ import annotations

import hashlib
import os
import re

from provider.hvqual.node_items.source import Source

# Emulators of any build (qemu-system-x86_64, qemu-kvm), its tools, and the helpers that libvirt starts for guests and networks.
NAMES = ("qemu", "kvm", "dnsmasq", "swtpm", "virtiofsd", "passt", "radvd", "stress-ng", "iperf3")
# The number of a domain in this run of libvirtd, and descriptors handed over: they differ between two starts of the same guest.
_VOLATILE = (
    (re.compile(r"domain-\d+-"), "domain-N-"),
    (re.compile(r"\bfds?=[\d:]+"), "fd=N"),
    (re.compile(r"/fdset/\d+"), "/fdset/N"),
)


def normalise(word: str) -> str:
    """An argument without what differs between two starts of the same thing."""
    for pattern, stable in _VOLATILE:
        word = pattern.sub(stable, word)
    return word


def argv(source: Source, pid: str) -> list[str]:
    """The command line of a process, empty for kernel threads, zombies and the dead."""
    text = source.text(f"/proc/{pid}/cmdline")
    return text.rstrip("\0").split("\0") if text else []


def is_watched(words: list[str]) -> bool:
    """Whether a command line is one of an emulator, dnsmasq or their helpers."""
    return bool(words) and words[0].rpartition("/")[2].startswith(NAMES)


def emulator_pids(source: Source) -> list[str]:
    """The processes of emulators."""
    return [
        pid for pid in source.pids() if (argv(source, pid) or [""])[0].rpartition("/")[2].startswith(("qemu", "kvm"))
    ]


def _told(source: Source, pid: str, words: list[str]) -> str:
    """One process: its program, guest or configuration, whether it is stopped, its CPUs, and a hash of its command line."""
    status = dict(line.split(":", 1) for line in (source.text(f"/proc/{pid}/status") or "").splitlines() if ":" in line)
    state = status.get("State", " ?").split()[0]
    subject = next((words[at + 1] for at, word in enumerate(words[:-1]) if word in {"-name", "--name"}), "")
    subject = subject or next((word for word in words[1:] if "conf" in word), "")
    digest = hashlib.sha256("\0".join(normalise(word) for word in words).encode()).hexdigest()[:16]
    run = "stopped" if state in {"T", "t"} else "runs"
    cpus = status.get("Cpus_allowed_list", "?").strip()
    return f"{os.path.basename(words[0])} {normalise(subject)}".strip() + f" = {run}, cpus {cpus}, command {digest}"  # noqa: PTH119


def processes(source: Source) -> list[str]:
    """Emulators, dnsmasq and their helpers: program, subject, stopped or not, allowed CPUs, hash of the command line."""
    found = ((pid, argv(source, pid)) for pid in source.pids())
    return [_told(source, pid, words) for pid, words in found if is_watched(words)]
