# SPDX-License-Identifier: GPL-2.0-or-later
"""What a node shall be like, and what its distribution calls things: two data files, each held against a closed schema."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.load import PACKAGE, document
from avocado_hvqual.preparation.model import Distribution

POLICY = PACKAGE / "policy"
SHIPPED = POLICY / "node.yaml"
TABLE = PACKAGE / "preparation" / "distributions.yaml"


@dataclass(frozen=True)
class Expectation:
    """A whole description of a node, and the file that it is from."""

    source: str
    sections: Mapping[str, Any]


def load(given: Optional[str] = None) -> Expectation:
    """
    Return the operator's description: the sections of the file *given*, and the shipped ones where it names none.

    *given* may also be the name of a shipped description: ``lab`` is policy/node-lab.yaml. DefinitionError with file:line.
    """
    whole = dict(document(SHIPPED, "node-expect.schema").data)
    if given is None:
        return Expectation(str(SHIPPED), whole)
    path = _path(given)
    found = document(path, "node-expect.schema")
    for pattern, place in _patterns(found.data):
        try:
            re.compile(pattern)
        except re.error as error:
            message = f"{found.where(*place)}: '{pattern}' is no regular expression: {error}."
            raise DefinitionError(message) from error
    return Expectation(str(path), {**whole, **found.data})


def with_luns(found: Expectation, wwids: Sequence[str]) -> Expectation:
    """Return a description that lists the LUNs *wwids* too, and that does without none."""
    if not wwids:
        return found
    storage = found.sections["storage"]
    luns = [*storage["luns"], *({"wwid": wwid} for wwid in wwids)]
    without = [name for name in found.sections["not_required"] if name != "luns"]
    return Expectation(found.source, {**found.sections, "storage": {**storage, "luns": luns}, "not_required": without})


def names() -> list[str]:
    """Return the names of the shipped descriptions besides the default."""
    return sorted(path.stem[len("node-") :] for path in POLICY.glob("node-*.yaml"))


def _path(given: str) -> Path:
    return POLICY / f"node-{given}.yaml" if given in names() else Path(given)


def _patterns(data: Mapping[str, Any]) -> list[tuple[str, tuple[Any, ...]]]:
    found: list[tuple[str, tuple[Any, ...]]] = []
    if "kernel" in data:
        found.append((data["kernel"]["release"], ("kernel", "release")))
    for number, row in enumerate(data.get("versions", [])):
        if "pattern" in row:
            found.append((row["pattern"], ("versions", number, "pattern")))
    for number, row in enumerate(data.get("daemons", [])):
        found += [(row[key], ("daemons", number, key)) for key in ("answers", "domains") if key in row]
    return found


def table(path: Path = TABLE) -> tuple[Distribution, ...]:
    """Return the rows of the distribution table."""
    rows = document(path, "distributions.schema").data["distributions"]
    return tuple(
        Distribution(row["id"], row["title"], row["executed"], row["names"], tuple(row["groups"])) for row in rows
    )


def distribution(os_release: Optional[str]) -> Distribution:
    """
    Return the row that an /etc/os-release belongs to.

    An unknown distribution gets a row of its own, not executed, without names: what a check then misses it tells itself.
    """
    fields = dict(re.findall(r'^([A-Z_]+)="?([^"\n]*)"?$', os_release or "", re.MULTILINE))
    found = f"{fields.get('ID', 'unknown')}-{fields.get('VERSION_ID', '')}".rstrip("-")
    row = next((row for row in table() if row.id == found), None)
    return row or Distribution(found, fields.get("PRETTY_NAME", found), executed=False)
