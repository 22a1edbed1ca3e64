# SPDX-License-Identifier: GPL-2.0-or-later
"""What one campaign left behind, read from its journal and its tests' files: all that the judge knows of a node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from avocado_hvqual.model.case import RequiredRow
from avocado_hvqual.model.observation import CaseTrace
from avocado_hvqual.model.plan import PlannedCase


@dataclass(frozen=True)
class Header:
    """What the campaign is about, from the journal's first line."""

    id: str
    profile: str
    selection: bool
    lab: bool
    node: dict[str, Any]
    """Facts; ``id`` and ``hostname`` at least."""
    command: str
    versions: dict[str, str]
    """Kernel, QEMU, libvirt, avocado, ...: the builds under test."""
    started: float
    """Seconds since the epoch."""

    @classmethod
    def from_json(cls, data: dict[str, Any], wall: float) -> Header:
        """Return what the first line of a journal says, written at *wall*."""
        versions = {str(name): str(value) for name, value in data["versions"].items()}
        told = (data["id"], data["profile"], data["selection"], data["lab"], data["node"], data["command"])
        return cls(*told, versions, wall)


@dataclass(frozen=True)
class Attempt:
    """One try of one case; every try is kept."""

    case: str
    status: Optional[str]
    """As avocado said it (PASS, FAIL, ERROR, CANCEL, SKIP, WARN, INTERRUPTED, ...); None when it never said."""
    line: int
    """The journal's line that says so."""
    fail_reason: str = ""
    fail_class: str = ""
    logdir: str = ""
    time: float = 0.0
    trace: Optional[CaseTrace] = None
    damage: str = ""
    """Why the test's own file cannot be believed."""
    began: float = 0.0
    """Seconds since the epoch, as the journal has it; 0 when it does not tell."""
    build: int = 0
    """On which of the campaign's builds: the place in `CampaignRecord.builds`."""
    watched: bool = False
    """Whether the node was watched to its end, and what befell it is known."""


@dataclass(frozen=True)
class HealthEvent:
    """Something that befell the node; `case` is empty between cases."""

    kind: str
    message: str
    evidence: str = ""
    case: str = ""
    wall: float = 0.0
    """Seconds since the epoch."""
    told: bool = True
    """Whether `wall` is only when it was written down, which is after it happened; False: the node's own log gives the time."""
    build: int = 0
    """On which of the campaign's builds."""


@dataclass(frozen=True)
class Reboot:
    """The node booted anew and nobody had announced it; `case` is empty between cases."""

    case: str
    sentence: str
    build: int = 0
    """On which of the campaign's builds."""
    line: int = 0
    """The first line of the journal, from 1, that the new boot wrote."""


@dataclass(frozen=True)
class Continued:
    """The campaign went on in another process: resumed after a break, or run again after a fix."""

    verb: str
    command: str
    wall: float
    """Seconds since the epoch."""


@dataclass(frozen=True)
class Gate:
    """What the campaign decided before a phase."""

    phase: str
    passed: bool
    reason: str
    override: str = ""
    """The operator's reason for letting the phase begin although the gate is closed."""


@dataclass(frozen=True)
class Vouched:
    """A file in the campaign's folder of which the journal says what its first `size` bytes are."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class ParameterChange:
    """A parameter that differs from the profile's; `case` is empty when it was given to all."""

    name: str
    value: str
    profile_value: str
    case: str = ""


@dataclass(frozen=True)
class CampaignRecord:
    """One campaign as its files tell it; see `loader.load_campaign`."""

    header: Header
    planned: tuple[PlannedCase, ...] = ()
    required: tuple[RequiredRow, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    health: tuple[HealthEvent, ...] = ()
    doubts: tuple[tuple[str, str], ...] = ()
    """(case or empty, reason) for which the node's health is not known."""
    leftovers: tuple[tuple[str, str], ...] = ()
    """(case or empty, difference): the node is not as it was."""
    gates: tuple[Gate, ...] = ()
    parameters: tuple[ParameterChange, ...] = ()
    problems: tuple[str, ...] = ()
    """What broke in the harness itself."""
    reboots: tuple[Reboot, ...] = ()
    ended: str = ""
    """Status of the campaign's last end, empty when it has none after its last case."""
    ended_wall: float = 0.0
    damage: tuple[str, ...] = ()
    """What shows that the journal is not as it was written, each with its line number."""
    notes: tuple[str, ...] = ()
    """What is worth knowing and no damage: a torn last line."""
    known: frozenset[str] = frozenset()
    """The cases during which the node's health was watched and is known."""
    vouched: tuple[Vouched, ...] = ()
    """The latest word on each file that the journal vouches for."""
    builds: tuple[dict[str, str], ...] = ()
    """The versions of each build that the campaign ran on, in order; empty means the header's alone."""
    continued: tuple[Continued, ...] = ()
