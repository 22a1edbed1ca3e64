# SPDX-License-Identifier: GPL-2.0-or-later
"""What the operator does next about each kind of finding: one sentence a kind, in the order of their urgency."""

from __future__ import annotations

from collections.abc import Sequence

from avocado_hvqual.ledger import ending
from avocado_hvqual.model.finding import Finding
from avocado_hvqual.model.finding import FindingKind as K

ADVICE: dict[K, str] = {
    K.TAMPERED_JOURNAL: "Find out who or what changed the campaign's files, and run the campaign again.",
    K.NODE_TAINTED: "Put the node back with 'avocado hvqual clean' before anything else runs on it.",
    K.HOST_MCE: "Have the hardware that the machine check names examined before the node is used at all.",
    K.DATA_LOSS: "Keep the node out of service: data was lost. Preserve the evidence and report a bug.",
    K.HOST_HANG: "Collect the node's console, pstore and /var/crash, and report a bug against the kernel.",
    K.HOST_PANIC: "Collect the node's crash dump and kernel log, and report a bug against the kernel.",
    K.HOST_LOCKUP: "Report a bug against the kernel with the trace in the kernel log.",
    K.HOST_REBOOT: "Find out why the node booted anew (pstore, BMC log, previous boot's kernel log).",
    K.VM_LOST: "Report a bug with QEMU's and libvirt's log of the lost VM.",
    K.QEMU_CRASH: "Report a bug against QEMU with its log, the crash dump and the command line.",
    K.GUEST_PANIC: "Report a bug with the guest's console.",
    K.GUEST_REBOOT: "Report a bug: a guest booted anew and nobody had asked for it.",
    K.GUEST_FREEZE: "Look what the node did while the guest stood still: kernel log, load, storage.",
    K.LIBVIRTD_RESTART: "Find out why libvirtd restarted (its log, crash dumps, the OOM killer).",
    K.HOST_LOG: "Read the kernel log around the line; report a bug if the line is not harmless.",
    K.OPERATION_REFUSED: "Report a bug with the refused operation and libvirt's error.",
    K.WRONG_RESULT: "Report a bug with the operation, what was expected and what was found.",
    K.SLA_UNMET: "Compare the numbers with the limit; look for load on the node, slow storage or a slow build.",
    K.CRITERION_UNMET: "Compare the numbers with the limit and look at the evidence of the case.",
    K.LEFTOVER: "Remove what was left with 'avocado hvqual clean' and find out which operation leaves it.",
    K.HEALTH_UNKNOWN: "Make the node's kernel log readable to the end of the run (bigger log buffer), and run again.",
    K.MISSING_CASE: "Run the missing cases: without them the node is not qualified, whatever the others say.",
    K.STALE_RESULT: "Try on this build what was last tried on another one: avocado hvqual rerun DIR --stale",
    K.NOT_RUN: "Run what was not run: resume the campaign.",
    K.INTERRUPTED: "Find out what ended the run, then resume the campaign.",
    K.ERROR: "Read the log of each case that ended in error: its condition could not be established; mend it and run again.",
    K.CANCELLED: "Give the node what the probes miss, or list it in the policy as not required on this class of node.",
    K.PASSED_WITHOUT_OBSERVATION: "Run the case again; if it lacks the observation again, the test is at fault.",
    K.CRITERION_UNKNOWN: "Run the case again so that every limit is answered.",
    K.WEAK_LIMIT: "Run again with the shipped limits.",
    K.SMALL_SCALE: "Run again at the scale that the policy asks for.",
    K.WRONG_TEXT: "Report a bug with a fix target, and enter it in the ledger.",
    K.MISSING_MESSAGE: "Report a bug with a fix target, and enter it in the ledger.",
}


PART = (
    "Run a whole profile: a part run qualifies nothing (avocado hvqual run --profile production, on the node itself)."
)
LAB = "Run the production profile on the node itself: at lab scale nothing is said of its hardware."


def next_steps(findings: Sequence[Finding], *, selection: bool = False, lab: bool = False) -> tuple[str, ...]:
    """Return what to do about the open findings, the most urgent first, each once; then what would say more than this run."""
    kinds = {finding.kind for finding in findings if finding.is_open}
    steps = [sentence for kind, sentence in ADVICE.items() if kind in kinds]
    unexplained = any(
        f.is_open and f.kind in kinds and not f.fix_target and f.severity.value == "minor" for f in findings
    )
    if unexplained:
        steps.append("Give each minor finding a fix target in the ledger: without one it counts against the node.")
    steps += [
        f"Renew the waiver '{finding.waiver.entry}' or have its bug fixed: it expires on {finding.waiver.expires}."
        for finding in findings
        if finding.waiver is not None and ending(finding.waiver.entry, finding.waiver.expires) in finding.notes
    ]
    if not steps and (selection or lab):
        steps.append(PART if selection else LAB)
    return tuple(dict.fromkeys(steps))
