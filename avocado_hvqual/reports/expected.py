# SPDX-License-Identifier: GPL-2.0-or-later
"""What was expected where a finding says what was found: the limit that was asked, else one sentence for each kind."""

from __future__ import annotations

from typing import Optional

from avocado_hvqual.model.answer import Answer
from avocado_hvqual.model.finding import Finding
from avocado_hvqual.model.finding import FindingKind as K
from avocado_hvqual.model.qualification import CaseResult

EXPECTED: dict[K, str] = {
    K.HOST_HANG: "The node answers throughout.",
    K.HOST_REBOOT: "The node runs without booting anew.",
    K.HOST_PANIC: "The node's kernel reports no panic and no oops.",
    K.HOST_LOCKUP: "The node's kernel reports no lockup, stall or hung task.",
    K.HOST_MCE: "The hardware reports no error.",
    K.DATA_LOSS: "Each byte that a guest wrote is read back as it was written.",
    K.GUEST_PANIC: "The guest's kernel reports no panic, oops or lockup.",
    K.GUEST_REBOOT: "The guest goes on running and does not boot anew.",
    K.GUEST_FREEZE: "The guest is heard throughout.",
    K.VM_LOST: "Each VM that was made stays until it is removed.",
    K.QEMU_CRASH: "QEMU runs until it is told to end.",
    K.LIBVIRTD_RESTART: "libvirtd runs throughout.",
    K.HOST_LOG: "The node's kernel has nothing to warn of.",
    K.OPERATION_REFUSED: "The operation is carried out.",
    K.WRONG_RESULT: "The operation does what it is documented to do.",
    K.SLA_UNMET: "The promised time is kept.",
    K.CRITERION_UNMET: "The limit is kept.",
    K.CRITERION_UNKNOWN: "The limit is answered by enough samples in its unit.",
    K.LEFTOVER: "The node is after the case as it was before.",
    K.NODE_TAINTED: "Everything that was changed on the node is put back.",
    K.WRONG_TEXT: "The message says what happened.",
    K.MISSING_MESSAGE: "There is a message that says what happened.",
    K.INTERRUPTED: "The test comes to its end.",
    K.NOT_RUN: "The case is run.",
    K.ERROR: "The test can establish its condition.",
    K.CANCELLED: "The node has what the case needs.",
    K.PASSED_WITHOUT_OBSERVATION: "A pass shows everything that the case owes.",
    K.MISSING_CASE: "There is a case for each required use case.",
    K.HEALTH_UNKNOWN: "The node's health is watched to the end.",
    K.WEAK_LIMIT: "No limit is weaker than the policy permits.",
    K.SMALL_SCALE: "No less is done than the policy permits.",
    K.STALE_RESULT: "The case is tried on the build that the verdict is about.",
    K.TAMPERED_JOURNAL: "The campaign's files are as they were written.",
}


def expected(finding: Finding, result: Optional[CaseResult]) -> str:
    """Return what was expected, with the limit where the finding is about one."""
    said = EXPECTED[finding.kind]
    if result is None or not finding.observation:
        return said
    wrong = {K.SLA_UNMET: Answer.UNMET, K.CRITERION_UNMET: Answer.UNMET, K.CRITERION_UNKNOWN: Answer.UNKNOWN}
    asked = [
        judgement.limit
        for judgement in result.judgements
        if judgement.observation == finding.observation and judgement.answer is wrong.get(finding.kind)
    ]
    return f"{said} {finding.observation}: {' and '.join(asked)}." if asked else said
