# SPDX-License-Identifier: GPL-2.0-or-later
"""The policy as a value: severities, floors below which a campaign proves nothing, what this class of node need not have."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from avocado_hvqual.limits import Limit
from avocado_hvqual.model.case import RequiredRow
from avocado_hvqual.severity import SeverityTable


@dataclass(frozen=True)
class LimitFloor:
    """The weakest limit that is permitted for an observation of the use cases that `id` (a shell pattern) names."""

    id: str
    observation: str
    limit: Limit

    def concerns(self, hv_id: str) -> bool:
        """Whether the use case is one of those."""
        return fnmatchcase(hv_id, self.id)


@dataclass(frozen=True)
class ScaleFloor:
    """The smallest value that a parameter may have under the given profiles for the use cases that `id` names."""

    id: str
    parameter: str
    at_least: float
    profiles: tuple[str, ...]

    def concerns(self, hv_id: str, profile: str) -> bool:
        """Whether the use case at this profile is one of those."""
        return profile in self.profiles and fnmatchcase(hv_id, self.id)


@dataclass(frozen=True)
class Slower:
    """When a campaign is slower than another: the ratio of two medians, over this many samples on each side at least."""

    ratio: float = 1.25
    samples: int = 5


@dataclass(frozen=True)
class BuildRule:
    """What the results of a campaign are worth that went on with another build (section 6.3)."""

    identity: tuple[str, ...] = ("kernel", "kernel-build", "qemu", "qemu-build", "libvirt", "libvirt-build")
    """The versions by which two builds are told apart."""
    stale: str = "not-attempted"
    """What a result of an earlier build is worth: ``not-attempted``, or ``capped``, which caps the verdict."""
    passes: int = 1
    """So many whole tries have to pass on another build before a failure of an earlier one is fixed."""


@dataclass(frozen=True)
class Alert:
    """What a campaign does when a critical finding appears, where its command line says nothing else."""

    action: str = "none"
    command: str = ""
    webhook: str = ""


@dataclass(frozen=True)
class Policy:
    """What the judge goes by; `digest` tells one policy from another in the reports."""

    name: str
    severities: SeverityTable
    digest: str = ""
    not_required: tuple[str, ...] = ()
    """Capabilities (names of probes) that this class of node may lack."""
    components: tuple[str, ...] = ()
    """The components of the requirement's section 4.1, each of which has to be exercised."""
    limit_floors: tuple[LimitFloor, ...] = ()
    scale_floors: tuple[ScaleFloor, ...] = ()
    required: tuple[RequiredRow, ...] = ()
    """The shipped required table, beside the one that the campaign wrote down."""
    waiver_notice_days: int = 14
    """So many days ahead a waiver's end is announced."""
    slower: Slower = Slower()
    on_critical: Alert = Alert()
    builds: BuildRule = BuildRule()
