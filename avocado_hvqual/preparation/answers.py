# SPDX-License-Identifier: GPL-2.0-or-later
"""What several checks need of an answer: JSON of our own programs, and versions that can be compared."""

from __future__ import annotations

import json
import re
from typing import Any, Optional

from avocado_hvqual.preparation.model import Defect, Node, Ran, Remedy


def of_program(ran: Ran, *keys: str) -> Optional[dict[str, Any]]:
    """Return the object with these keys that a program of ours wrote, None when it wrote none, whatever its exit status."""
    try:
        said = json.loads(ran.stdout)
    except ValueError:
        return None
    return said if isinstance(said, dict) and set(keys) <= set(said) else None


def error_of(ran: Ran) -> str:
    """Return why a program of ours could not answer, in its own words if it wrote any."""
    said = of_program(ran, "error")
    return str(said["error"]) if said is not None else f"no answer ({ran.why})"


def build_id(node: Node, path: str) -> tuple[str, str]:
    """Return the build id of a file, and if there is none, why."""
    said = of_program(node.ask("build_id", path), path)
    found = {} if said is None else said[path]
    if "build_id" in found:
        return str(found["build_id"]), ""
    return "", str(found.get("error", "the program that reads it gave no answer"))


def numbers(version: str) -> tuple[int, ...]:
    """
    Return the numbers of an upstream version.

    >>> numbers("9.2p1"), numbers("6.1.0-25-amd64")
    ((9, 2, 1), (6, 1, 0, 25))
    """
    head = re.match(r"\d+(?:[.p-]\d+)*", version.strip())
    return tuple(map(int, re.findall(r"\d+", head.group()))) if head else ()


def at_least(found: str, wanted: str) -> bool:
    """
    Whether a version is *wanted* or later; what is not written counts as 0, and what is no version is never enough.

    >>> at_least("7.2.22", "7.2"), at_least("7.2", "7.2.1"), at_least("10.0", "9.5"), at_least("", "1")
    (True, False, True, False)
    """
    have, want = numbers(found), numbers(wanted)
    longest = max(len(have), len(want))
    return bool(have) and have + (0,) * (longest - len(have)) >= want + (0,) * (longest - len(want))


def version_defect(subject: str, found: str, row: dict[str, Any], remedy: Optional[Remedy] = None) -> Optional[Defect]:
    """Return what is wrong with a version that a row of the description bounds by `minimum` or names by `exactly`."""
    if "exactly" in row and found != row["exactly"]:
        return Defect(subject, found or "no version", f"exactly {row['exactly']}", remedy)
    if "minimum" in row and not at_least(found, row["minimum"]):
        return Defect(subject, found or "no version", f"{row['minimum']} or later", remedy)
    return None
