# SPDX-License-Identifier: GPL-2.0-or-later
"""What one test wrote down: observations with their units, the evidence that shows them, and how the test ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Optional, Union

Value = Union[float, int, str, bool]


class Observation(NamedTuple):
    """One sample of one fact. A tuple, because a long campaign holds a million of them."""

    name: str
    value: Value
    unit: str
    mono: float
    """Seconds of the node's monotonic clock."""
    samples: int = 1
    vm: Optional[str] = None


@dataclass(frozen=True)
class Evidence:
    """A file of the test that shows an observation; `path` is relative to the campaign's folder."""

    name: str
    path: str
    sha256: str
    about: str


@dataclass(frozen=True)
class Capability:
    """What a probe of the node answered."""

    name: str
    ok: bool
    reason: str


@dataclass(frozen=True)
class Problem:
    """Something that the test itself saw go wrong; `what` is the value of a FindingKind."""

    what: str
    message: str
    vm: Optional[str] = None


@dataclass(frozen=True)
class CaseTrace:
    """One observations.jsonl, read whole. A test that was killed has no `status` (it wrote no `end`)."""

    case: str
    id: str
    profile: str
    wall: float
    """Seconds since the epoch at `begin`."""
    boot_id: str
    scale: dict[str, Any]
    params: dict[str, str]
    observations: tuple[Observation, ...] = ()
    criteria: tuple[tuple[str, str, str], ...] = ()
    """(observation, limit, answer) as the test itself said it; the judge recomputes."""
    evidence: tuple[Evidence, ...] = ()
    capabilities: tuple[Capability, ...] = ()
    problems: tuple[Problem, ...] = ()
    digest_before: Optional[str] = None
    digest_after: Optional[str] = None
    differences: tuple[str, ...] = ()
    open_steps: tuple[str, ...] = ()
    """Steps that began and did not end: where a killed or failed test was."""
    status: Optional[str] = None
    message: str = ""
    torn: bool = False
    """The last line was not whole: the test was killed while it wrote."""
