# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything that a report may say about one campaign: a value, the same for the same input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from avocado_hvqual.model.answer import Answer, Judgement
from avocado_hvqual.model.finding import Finding
from avocado_hvqual.model.observation import CaseTrace
from avocado_hvqual.model.record import Continued, Gate, Header, HealthEvent, ParameterChange
from avocado_hvqual.model.verdict import Verdict


@dataclass(frozen=True)
class NotCovered:
    """Something that a qualification needs and this campaign did not show."""

    what: str
    """A case key, or ``component <name>``."""
    reason: str


@dataclass(frozen=True)
class GateAnswer:
    """One exit criterion of the requirement (section 7), answered by the judge: ids ``hvqual.gate.*``."""

    id: str
    answer: Answer
    sentence: str


@dataclass(frozen=True)
class Build:
    """One of the builds that the campaign ran on."""

    versions: dict[str, str]
    change: str
    """In words what tells it from the build before; empty for the first."""
    tries: int
    """So many tries ended on it."""


@dataclass(frozen=True)
class CaseResult:
    """One required case: how often it was tried, how it stands, and what its limits say."""

    case: str
    phase: str
    category: str
    outcome: str
    """``passed``, ``failed``, ``not attempted`` or ``not required``."""
    attempts: tuple[str, ...]
    """Each try's status in order."""
    maturity: str
    seconds: float
    judgements: tuple[Judgement, ...] = ()
    logdir: str = ""
    traces: tuple[CaseTrace, ...] = ()
    """What its tries wrote down, in order; a try that wrote nothing has none."""
    began: float = 0.0
    """Seconds since the epoch at which its last try began; 0 when nobody knows."""
    stale: str = ""
    """Why the result says nothing of the campaign's last build; empty when it does."""

    @property
    def latest(self) -> Optional[CaseTrace]:
        """What the last try that wrote anything wrote down."""
        return self.traces[-1] if self.traces else None


@dataclass(frozen=True)
class Qualification:
    """The verdict with its reasons."""

    verdict: Verdict
    basis: Verdict
    """What it would be on the production node in full: told apart from the verdict for selections and labs."""
    clean: bool
    """All that was required is attempted and nothing is open."""
    required: int
    attempted: int
    findings: tuple[Finding, ...]
    results: tuple[CaseResult, ...]
    not_covered: tuple[NotCovered, ...]
    gates: tuple[GateAnswer, ...]
    reasons: tuple[str, ...]
    """Why it is not QUALIFIED, the worst first; empty when it is."""
    next_steps: tuple[str, ...]
    header: Header
    ended_wall: float
    parameters: tuple[ParameterChange, ...] = ()
    phase_gates: tuple[Gate, ...] = ()
    scale: dict[str, dict[str, str]] = field(default_factory=dict)
    """By use case: each parameter of which less was done than in production ("3 of 20")."""
    notes: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    """Ledger entries that matched nothing."""
    health: tuple[HealthEvent, ...] = ()
    """What befell the node meanwhile, in the order of the journal."""
    builds: tuple[Build, ...] = ()
    """The builds under test, in order: the last one is what a verdict is about."""
    continued: tuple[Continued, ...] = ()
    policy: str = ""
    """Name and digest of the policy that judged."""
    today: str = ""
