# SPDX-License-Identifier: GPL-2.0-or-later
"""Apply the remedies of what a node lacks: written down first, then done, then looked at again."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Optional

from avocado_hvqual import wait
from avocado_hvqual.errors import HvqualError
from avocado_hvqual.preparation import files
from avocado_hvqual.preparation.journal import Entry, Journal
from avocado_hvqual.preparation.model import Answer, Check, Defect, Node, Remedy
from avocado_hvqual.preparation.running import Result, ask

COMMAND_S = 3600.0
"""An installation over a slow link takes its time; a command that hangs for good must end all the same."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What came of one remedy: *status* is mended, later (it shows after what *message* says) or failed."""

    check: str
    subject: str
    status: str
    message: str
    irreversible: str = ""


def steps(results: Sequence[Result]) -> Iterator[tuple[Check, Defect, Remedy]]:
    """Yield the remedies of what was found, in the order in which they would be applied; one that mends several is yielded once."""
    told_of: set[Remedy] = set()
    for result in results:
        for defect in result.looked.defects:
            remedy = defect.remedy
            if remedy is not None and remedy.applicable and remedy not in told_of:
                told_of.add(remedy)
                yield result.check, defect, remedy


def told(remedy: Remedy) -> list[str]:
    """Return a remedy as lines: each file that it writes, each command as a shell would take it."""
    lines: list[str] = []
    for file in remedy.files:
        lines += [f"write {file.path} (mode {file.mode:04o}):", *(f"  | {line}" for line in file.text.splitlines())]
    return lines + [shlex.join(words) for words in remedy.commands]


def prepare(node: Node, checks: Sequence[Check], journal: Journal, say: Say) -> tuple[list[Outcome], list[Result]]:
    """
    Mend what can be mended, check by check, and return what came of it with what each check says in the end.

    A remedy may bring the next defect to light (a network that is defined can be started), so a check is asked until it shows
    nothing that has not been tried.
    """
    mender = _Mender(node, journal, say)
    outcomes = [outcome for check in checks for outcome in mender.mend_all(check)]
    return outcomes, [ask(node, check) for check in checks]


@dataclass(frozen=True)
class _Mender:
    """Applies remedies to one node."""

    node: Node
    journal: Journal
    say: Say

    def mend_all(self, check: Check) -> Iterator[Outcome]:
        """Apply the remedies that a check shows, one after the other, each at most once."""
        tried: set[Remedy] = set()
        result = ask(self.node, check)
        while True:
            new = [(defect, remedy) for _, defect, remedy in steps([result]) if remedy not in tried]
            if not new:
                return
            defect, remedy = new[0]
            tried.add(remedy)
            entry, wrong = self._apply(check, defect, remedy)
            result = self._after(check, defect.subject, 0.0 if wrong else remedy.within)
            outcome = _outcome(check, defect, remedy, wrong, result)
            if entry is not None and outcome.status == "failed" and not (remedy.undo or remedy.files):
                self.journal.forget(entry)  # nothing of it can be taken back, and nothing of it stays
            self.say(f"{outcome.status}: {outcome.subject}: {outcome.message}")
            yield outcome

    def _after(self, check: Check, subject: str, within: float) -> Result:
        """Ask a check again, for *within* seconds at most until it does not name the subject any more."""
        found: list[Result] = []

        def mended() -> bool:
            found[:] = [ask(self.node, check)]
            return all(defect.subject != subject for defect in found[0].looked.defects)

        with suppress(wait.WaitTimeoutError):  # what is still wrong then stands in the last answer
            wait.until(mended, within, subject, interval=1.0)
        return found[0]

    def _apply(self, check: Check, defect: Defect, remedy: Remedy) -> tuple[Optional[Entry], str]:
        """Write a remedy down, then apply it; return what was written down, and what went wrong, empty for nothing."""
        self.say(f"{check.name}: {remedy.summary}")
        try:
            entry = self.journal.record(check.name, defect, remedy, files.look(remedy.files), self.node.expected)
        except (OSError, HvqualError) as error:
            return None, f"Nothing was done: {error}"
        wrong = files.write(remedy.files)
        if wrong is not None:
            return entry, wrong
        for words in remedy.commands:
            self.say(f"  $ {shlex.join(words)}")
            ran = self.node.run(words, timeout=COMMAND_S)
            if not ran.ok:
                return entry, f"'{shlex.join(words)}' failed: {ran.why}"
        return entry, ""


def _outcome(check: Check, defect: Defect, remedy: Remedy, wrong: str, result: Result) -> Outcome:
    """Return what a remedy came to: what it did not mend is told as failed, whatever its commands said."""
    there = next((it for it in result.looked.defects if it.subject == defect.subject), None)
    if wrong:
        status, message = "failed", wrong
    elif there is None and result.answer is Answer.UNKNOWN:
        status, message = "failed", f"Whether it helped is unknown: {result.looked.reason}"
    elif there is None:
        status, message = "mended", f"Was {defect.found}, is now as expected."
    elif there.remedy is not None and there.remedy.applicable and there.remedy.summary != remedy.summary:
        status, message = "mended", f"Done; next: {there.remedy.summary}"
    elif remedy.later:
        status, message = "later", f"It shows {remedy.later}."
    else:
        status, message = "failed", f"Found {there.found} after it, expected {there.expected}."
    return Outcome(check.name, defect.subject, status, message, remedy.irreversible)
