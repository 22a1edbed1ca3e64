# SPDX-License-Identifier: GPL-2.0-or-later
"""What one test wrote down: observations with their units, the evidence that shows them, and how the test ended."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
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
    label: str = ""
    """What the sample is one of, for instance the flavor; empty when nothing was said."""


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
    mono: Optional[float] = None
    """Seconds of the node's monotonic clock at which it was written down."""


class Step(NamedTuple):
    """One operation of a test, of one VM or (without one) of the case; times are seconds of the node's monotonic clock."""

    name: str
    vm: Optional[str]
    begin: float
    end: Optional[float] = None
    """None for a step that did not end: it failed, or the test was killed in it."""

    @property
    def words(self) -> str:
        """The operation, and the VM that it was done to."""
        return f"{self.name} {self.vm}" if self.vm else self.name


class Seed(NamedTuple):
    """The seed of a random choice of the test; with ``hv_seed`` set to it the same is chosen again."""

    seed: str
    about: str


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
    mono: float = 0.0
    """Seconds of the node's monotonic clock at `begin`: with `wall` it says when anything else was."""
    mono_last: float = 0.0
    """The same at the last whole line: the end, or the last sign of a test that has none."""
    steps: tuple[Step, ...] = ()
    """In the order of their beginnings."""
    seeds: tuple[Seed, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, list[Observation]]:
        """The samples of each observation, in their order; made once, for judge and reports ask again and again."""
        found: dict[str, list[Observation]] = {}
        for sample in self.observations:
            found.setdefault(sample.name, []).append(sample)
        return found

    @property
    def seconds(self) -> float:
        """How long the test wrote."""
        return max(0.0, self.mono_last - self.mono)
