# SPDX-License-Identifier: GPL-2.0-or-later
"""What went wrong, how bad it is, and what the operator has said about it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cached_property
from typing import Optional

from avocado_hvqual.model import fingerprint as fingerprints
from avocado_hvqual.model.fingerprint import normalise

__all__ = ["NOT_ATTEMPTED", "UNWAIVABLE", "Finding", "FindingKind", "Severity", "Waiver", "normalise"]


class FindingKind(enum.Enum):
    """Every way in which something can be not as it should: a closed set, each with a row in the severity table."""

    HOST_HANG = "host-hang"
    HOST_REBOOT = "host-reboot"
    HOST_PANIC = "host-panic"
    HOST_LOCKUP = "host-lockup"
    HOST_MCE = "host-mce"
    DATA_LOSS = "data-loss"
    GUEST_PANIC = "guest-panic"
    GUEST_REBOOT = "guest-reboot"
    GUEST_FREEZE = "guest-freeze"
    VM_LOST = "vm-lost"
    QEMU_CRASH = "qemu-crash"
    LIBVIRTD_RESTART = "libvirtd-restart"
    HOST_LOG = "host-log"
    OPERATION_REFUSED = "operation-refused"
    WRONG_RESULT = "wrong-result"
    SLA_UNMET = "sla-unmet"
    CRITERION_UNMET = "criterion-unmet"
    CRITERION_UNKNOWN = "criterion-unknown"
    LEFTOVER = "leftover"
    NODE_TAINTED = "node-tainted"
    WRONG_TEXT = "wrong-text"
    MISSING_MESSAGE = "missing-message"
    INTERRUPTED = "interrupted"
    NOT_RUN = "not-run"
    ERROR = "error"
    CANCELLED = "cancelled"
    PASSED_WITHOUT_OBSERVATION = "passed-without-observation"
    MISSING_CASE = "missing-case"
    HEALTH_UNKNOWN = "health-unknown"
    WEAK_LIMIT = "weak-limit"
    SMALL_SCALE = "small-scale"
    STALE_RESULT = "stale-result"
    TAMPERED_JOURNAL = "tampered-journal"

    @classmethod
    def values(cls) -> frozenset[str]:
        """Return the names of all kinds as files hold them."""
        return _VALUES


_VALUES = frozenset(kind.value for kind in FindingKind)

UNWAIVABLE = frozenset(
    {
        FindingKind.HOST_HANG,
        FindingKind.HOST_REBOOT,
        FindingKind.HOST_PANIC,
        FindingKind.HOST_LOCKUP,
        FindingKind.HOST_MCE,
        FindingKind.DATA_LOSS,
        FindingKind.VM_LOST,
    }
)
"""What no ledger entry waives or makes less severe (decision 5)."""

NOT_ATTEMPTED = frozenset(
    {
        FindingKind.CRITERION_UNKNOWN,
        FindingKind.INTERRUPTED,
        FindingKind.NOT_RUN,
        FindingKind.ERROR,
        FindingKind.CANCELLED,
        FindingKind.PASSED_WITHOUT_OBSERVATION,
        FindingKind.MISSING_CASE,
        FindingKind.HEALTH_UNKNOWN,
        FindingKind.WEAK_LIMIT,
        FindingKind.SMALL_SCALE,
        FindingKind.STALE_RESULT,
        FindingKind.TAMPERED_JOURNAL,
    }
)
"""Kinds that say "not seen" or "not asked as required": the verdict is INCOMPLETE, whatever the ledger says (decision 2)."""


class Severity(enum.Enum):
    """How bad a finding is; the order is from bad to less bad."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class Waiver:
    """Why a finding does not block, who says so and until when: ISO date, that day included."""

    entry: str
    reason: str
    owner: str
    expires: str


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be. `case` is a case key, or empty when it befell the campaign."""

    kind: FindingKind
    severity: Severity
    case: str
    message: str
    evidence: tuple[str, ...] = ()
    """Files relative to the campaign's folder."""
    category: str = ""
    phase: str = ""
    observation: str = ""
    components: tuple[str, ...] = ()
    rule: str = ""
    """The row of the severity table that decided."""
    seen: int = 1
    attempts: int = 1
    """In how many of how many attempts of the case it was seen."""
    original: Optional[Severity] = None
    """The table's severity when the ledger changed it; it stays visible."""
    entry: str = ""
    """The ledger's entry that knows this finding."""
    bug: str = ""
    fix_target: str = ""
    override_reason: str = ""
    waiver: Optional[Waiver] = None
    fixed: str = ""
    """How another build of kernel, QEMU or libvirt mended it; empty when none did."""
    notes: tuple[str, ...] = ()
    """What the ledger could not do for it: an expired waiver, a waiver that this kind does not take."""

    @cached_property
    def fingerprint(self) -> str:
        """The same for the same fault over cases, runs and nodes: ``hv1-`` and 12 hexadecimal digits."""
        return fingerprints.fingerprint(self.kind.value, self.observation, self.message)

    @property
    def is_open(self) -> bool:
        """Whether it still counts: nothing is closed but what is waived, or mended by another build."""
        return self.waiver is None and not self.fixed

    @property
    def is_downgraded(self) -> bool:
        """Whether the ledger made it less severe than the table does."""
        return self.original is not None and self.severity.rank > self.original.rank
