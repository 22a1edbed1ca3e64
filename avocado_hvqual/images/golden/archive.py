# SPDX-License-Identifier: GPL-2.0-or-later
"""Where packages come from: the archives that this node's apt knows of a distribution, or a mirror that the operator names."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden.table import System

#: Settings of this node's apt that hold for a guest's packages too: how archives are reached, whether their dates are believed.
_FETCHING = re.compile(
    r'^Acquire::(?:https?::Proxy(?:::\S+)?|Check-Valid-Until|Check-Date|Retries) "[^"]+";$',
    re.MULTILINE | re.IGNORECASE,
)
#: A mirror that this project made of packages that apt has checked, and serves to itself.
_OWN = "http://127.0.0.1:"
_ROW = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|"


def sources(system: System, mirror: str = "") -> str:
    """
    Return the lines of a sources.list for *system*: its *mirror* alone, else what this node's apt is set up with.

    `ImageError` when that is nothing.
    """
    if mirror:
        signed = "[trusted=yes] " if mirror.startswith(_OWN) else _signed(system)
        return f"deb {signed}{mirror} {system.suite} {' '.join(system.components)}\n"
    lines = sources_of_node(system)
    if not lines:
        msg = (
            f"This node's apt knows no archive of {system.title} ({system.suite}); name one with --mirror, "
            f"and install its keys as {system.keyring}."
        )
        raise ImageError(msg)
    return "".join(f"deb {line}\n" for line in lines)


def sources_of_node(system: System) -> list[str]:
    """Return what follows ``deb`` or ``deb-src`` for each archive of *system* that this node's apt is set up with."""
    listed = _asked(["apt-get", "indextargets", "--format", _ROW, "Identifier: Packages"])
    return [f"{_signed(system)}{line}" for line in known(listed, system)]


def _signed(system: System) -> str:
    """Return the option that names the archive's keys, where they are installed."""
    return f"[signed-by={system.keyring}] " if Path(system.keyring).is_file() else ""


def known(listed: str, system: System) -> list[str]:
    """Return ``URI SUITE COMPONENT`` of each archive of *system* that ``apt-get indextargets`` lists, each once."""
    rows = (line.split("|") for line in listed.splitlines() if line.count("|") == _ROW.count("|"))
    found = (f"{row[0]} {row[1]} {row[2]}" for row in rows if row[1] in system.suites and row[2] in system.components)
    return list(dict.fromkeys(found))


def fetching() -> list[str]:
    """Return this node's apt settings on how archives are reached."""
    return _FETCHING.findall(_asked(["apt-config", "dump"]))


def candidates(packages: Sequence[str]) -> dict[str, str]:
    """Return the version of each package that this node's apt would fetch; those that it does not know are left out."""
    return parse_policy(_asked(["apt-cache", "policy", *packages])) if packages else {}


def parse_policy(text: str) -> dict[str, str]:
    """Return package -> candidate of what ``apt-cache policy`` writes."""
    found = re.findall(r"^(\S+):\n(?:  .*\n)*?  Candidate: (\S+)", text, re.MULTILINE)
    return {name: version for name, version in found if version != "(none)"}


def _asked(line: Iterable[str]) -> str:
    """Return what one of apt's programs writes; nothing where there is no apt."""
    try:
        done = subprocess.run(
            list(line), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
