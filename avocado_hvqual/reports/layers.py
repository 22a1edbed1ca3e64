# SPDX-License-Identifier: GPL-2.0-or-later
"""
Above or below libvirt: where a failed case's fault lies, by what its twins say.

A twin asks the same use case of the same host configuration through the other backend: ``libvirt`` goes through libvirt to QEMU,
``qemu`` to QEMU alone. What fails above and passes below is not QEMU's; without an attempted twin nobody can say.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

from avocado_hvqual.model.case import CaseKey
from avocado_hvqual.model.finding import NOT_ATTEMPTED, Finding, FindingKind
from avocado_hvqual.model.qualification import CaseResult, Qualification

ABOVE, BELOW = "libvirt", "qemu"


class Layer(enum.Enum):
    """Where the fault is."""

    ABOVE_QEMU = "above-qemu"
    AT_OR_BELOW_QEMU = "at-or-below-qemu"
    BELOW_ONLY = "below-libvirt-only"
    NOT_PLACED = "not-placed"


class Placement(NamedTuple):
    """The layer of one failed case, the twins by which it was told, and the sentence for it."""

    case: str
    layer: Layer
    sentence: str
    twins: tuple[str, ...] = ()


OF_THE_NODE = NOT_ATTEMPTED | {
    FindingKind.HOST_HANG,
    FindingKind.HOST_REBOOT,
    FindingKind.HOST_PANIC,
    FindingKind.HOST_LOCKUP,
    FindingKind.HOST_MCE,
    FindingKind.HOST_LOG,
    FindingKind.LIBVIRTD_RESTART,
    FindingKind.NODE_TAINTED,
}
"""What a twin says nothing of: it befell the node or the harness, or was not seen at all."""


def of_finding(finding: Finding, placed: dict[str, Placement]) -> str:
    """Return in words where a finding's fault lies; empty where that is no question."""
    if finding.kind in OF_THE_NODE or finding.case not in placed:
        return ""
    return placed[finding.case].sentence


def placements(qualification: Qualification) -> dict[str, Placement]:
    """Return the placement of each failed case, by its key."""
    by_id: dict[str, list[tuple[CaseKey, CaseResult]]] = {}
    for result in qualification.results:
        key = CaseKey.parse(result.case)
        by_id.setdefault(key.hv_id, []).append((key, result))
    kinds: dict[str, set[str]] = {}
    for finding in qualification.findings:
        kinds.setdefault(finding.case, set()).add(finding.kind.value)
    return {
        result.case: _placed(key, relatives, kinds)
        for relatives in by_id.values()
        for key, result in relatives
        if result.outcome == "failed"
    }


def _placed(key: CaseKey, relatives: Sequence[tuple[CaseKey, CaseResult]], kinds: dict[str, set[str]]) -> Placement:
    case, other = str(key), BELOW if key.vt_type == ABOVE else ABOVE
    twins = _nearest(key, [pair for pair in relatives if pair[0].vt_type == other])
    if not twins:
        return Placement(case, Layer.NOT_PLACED, f"Not placed: no case asks the same through '{other}'.")
    tried = [result for result in twins if result.outcome in {"passed", "failed"}]
    names = tuple(result.case for result in tried or twins)
    told = " and ".join(f"'{name}'" for name in names)
    if not tried:
        return Placement(case, Layer.NOT_PLACED, f"Not placed: its twin {told} was not attempted.", names)
    failed = [result.case for result in tried if result.outcome == "failed"]
    if all(CaseKey.parse(name).configuration != key.configuration for name in names):
        said = f"Not placed: of this host configuration nobody asks it through '{other}'; its twin {told} {_fared(failed)}."
        return Placement(case, Layer.NOT_PLACED, said, names)
    if not failed:
        return Placement(case, *_one_side(key, told), names)
    alike = any(kinds.get(case, set()) & kinds.get(name, set()) for name in failed)
    doubt = "" if alike else " The two failed in different ways, so it may be two faults."
    said = f"At or below QEMU: it fails through libvirt and without it (twin {told}).{doubt}"
    return Placement(case, Layer.AT_OR_BELOW_QEMU, said, names)


def _fared(failed: Sequence[str]) -> str:
    """Return how the twins of another configuration fared: worth knowing, and no proof."""
    return "failed there" if failed else "passed there"


def _one_side(key: CaseKey, told: str) -> tuple[Layer, str]:
    if key.vt_type == ABOVE:
        return (
            Layer.ABOVE_QEMU,
            f"Above QEMU (libvirt or its configuration): below libvirt the same passes (twin {told}).",
        )
    sentence = (
        f"Below libvirt only: through libvirt the same passes (twin {told}), so look at how this case starts QEMU."
    )
    return Layer.BELOW_ONLY, sentence


def _nearest(key: CaseKey, others: Sequence[tuple[CaseKey, CaseResult]]) -> list[CaseResult]:
    """Return the twins that are most like the case: of its axes and configuration, else of its configuration, else any."""
    for alike in (
        lambda other: other.place == key.place,
        lambda other: other.configuration == key.configuration,
        lambda _other: True,
    ):
        found = [result for other, result in others if alike(other)]
        if found:
            return found
    return []
