# SPDX-License-Identifier: GPL-2.0-or-later
"""Something that was seen to be wrong, before anybody said how bad it is."""

from __future__ import annotations

from typing import NamedTuple, Optional

from avocado_hvqual.model.finding import FindingKind
from avocado_hvqual.model.observation import CaseTrace
from avocado_hvqual.model.record import Attempt
from avocado_hvqual.observations import FILE


class Sighting(NamedTuple):
    """One fact that will become a finding."""

    kind: FindingKind
    case: str
    message: str
    evidence: tuple[str, ...] = ()
    observation: str = ""
    build: Optional[int] = None
    """On which of the campaign's builds the node itself was seen to be in trouble; None for what another build does not mend."""


def evidence_of(attempt: Attempt) -> tuple[str, ...]:
    """Return the files that show what an attempt saw: its own record first, then what it kept."""
    if attempt.trace is None:
        return (attempt.logdir,) if attempt.logdir else ()
    return (f"{attempt.logdir}/{FILE}", *kept(attempt.trace))


def kept(trace: CaseTrace) -> tuple[str, ...]:
    """Return the evidence files of a trace."""
    return tuple(dict.fromkeys(evidence.path for evidence in trace.evidence))
