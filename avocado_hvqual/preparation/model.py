# SPDX-License-Identifier: GPL-2.0-or-later
"""
The words in which a node under preparation is spoken of: question, fact, defect, remedy. Standard library only.

A check looks through a Node, never around it, so that the same check runs on this machine and on a captured one.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, Protocol, Union

Value = Union[str, int, float, bool]


class Answer(enum.Enum):
    """What a check says of a node. What could not be seen is UNKNOWN, never MET."""

    MET = "met"
    UNMET = "unmet"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Fact:
    """One thing that was read, and the file or command that said so."""

    name: str
    value: Value
    source: str


@dataclass(frozen=True)
class NewFile:
    """A file that a remedy writes; what was there before is recorded by `node prepare` and comes back with `node restore`."""

    path: str
    text: str
    mode: int = 0o644


@dataclass(frozen=True)
class Remedy:
    """
    What mends a defect: *files* are written first, then *commands* run in turn (each a list of words, through no shell).

    *undo* takes the commands back, in the order given, after the files have come back by themselves. What nothing takes back (a package, a
    kernel) is said in *irreversible*, declared before and listed after. *later* says what must happen before it shows, as "after a
    reboot": the check is then not expected to be met at once. *within* are seconds in which it may take effect: a daemon that systemd
    has started is not listening yet. Each remedy may be applied again.
    """

    summary: str
    commands: tuple[tuple[str, ...], ...] = ()
    undo: tuple[tuple[str, ...], ...] = ()
    irreversible: str = ""
    files: tuple[NewFile, ...] = ()
    later: str = ""
    within: float = 0.0

    @property
    def applicable(self) -> bool:
        """Whether there is anything that a program can do; else it is for somebody's hands."""
        return bool(self.commands or self.files)


@dataclass(frozen=True)
class Defect:
    """
    One named thing that is not as it should be.

    *subject* is the thing ("package qemu-utils", "network default"): two defects of one node never share it. *capability* names what
    the operator may list under `not_required`; such a defect is told and does not count.
    """

    subject: str
    found: str
    expected: str
    remedy: Optional[Remedy] = None
    capability: str = ""


@dataclass(frozen=True)
class Looked:
    """What one check saw; *reason* is a sentence, owed whenever the answer is not MET or UNMET."""

    answer: Answer
    facts: tuple[Fact, ...] = ()
    defects: tuple[Defect, ...] = ()
    reason: str = ""


def looked(facts: Iterable[Fact] = (), defects: Iterable[Defect] = (), unseen: Iterable[str] = ()) -> Looked:
    """
    Fold what was seen: UNMET with a defect, else UNKNOWN when something was *unseen* (sentences) or nothing at all, else MET.

    A check that came back with neither a fact nor a defect has seen nothing, and is unknown.
    """
    seen, wrong, missing = tuple(facts), tuple(defects), tuple(unseen)
    reason = " ".join(missing)
    if wrong:
        return Looked(Answer.UNMET, seen, wrong, reason)
    if missing or not seen:
        return Looked(Answer.UNKNOWN, seen, (), reason or "Nothing was seen.")
    return Looked(Answer.MET, seen)


def not_applicable(reason: str, facts: Iterable[Fact] = ()) -> Looked:
    """Return the answer to a question that this node need not answer; *reason* is a whole sentence."""
    return Looked(Answer.NOT_APPLICABLE, tuple(facts), (), reason)


@dataclass(frozen=True)
class Ran:
    """How a command ended. *status* is None when it could not be run or did not end in time; *stderr* then says why."""

    status: Optional[int]
    stdout: str = ""
    stderr: str = ""

    @property
    def ok(self) -> bool:
        """Whether it ended with 0."""
        return self.status == 0

    @property
    def why(self) -> str:
        """Its last words, for a sentence: of stderr, else of stdout, else its status."""
        said = self.stderr.strip().splitlines() or self.stdout.strip().splitlines()
        return said[-1] if said else f"status {self.status}"


@dataclass(frozen=True)
class Distribution:
    """
    The row of the distribution table that this node belongs to (preparation/distributions.yaml).

    *executed* tells whether the project was ever run on it. *names* maps what checks call a thing to what it is called here, by kind:
    ``distribution.names["packages"]["ssh server"]``; use called().
    """

    id: str
    title: str
    executed: bool
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    groups: tuple[str, ...] = ()

    def called(self, kind: str, thing: str) -> str:
        """Return what *thing* is called here, of the *kind* packages, units or paths; itself where the table says nothing."""
        return self.names.get(kind, {}).get(thing, thing)


class Node(Protocol):
    """The one door to a machine. Nothing raises for what is missing: that is an answer too."""

    @property
    def expected(self) -> Mapping[str, Any]:
        """The operator's description of the node, complete: each section of schemas/node-expect.schema.json is there."""

    @property
    def distribution(self) -> Distribution:
        """What this node's distribution calls things."""

    def read(self, path: str) -> Optional[str]:
        """Return a file's text, None when it is not there or cannot be read."""

    def names(self, path: str) -> Optional[tuple[str, ...]]:
        """Return the sorted names in a folder, None when it is not there."""

    def run(self, argv: Sequence[str], timeout: float = 10.0) -> Ran:
        """Run a command (words, no shell) in the C locale with nothing on stdin."""

    def ask(self, program: str, *arguments: str, timeout: float = 20.0) -> Ran:
        """Run a program of ours by its name: avocado_hvqual/preparation/programs/NAME.py, else provider/hvqual/NAME.py."""


@dataclass(frozen=True)
class Check:
    """
    One question to a node. *touches* are sentences, one for each thing it changes for a moment; empty: read-only.

    A check that touches something runs only with ``--deep``, puts back what it touched, and names all that it makes ``hvq-``.
    """

    name: str
    use_case: str
    why: str
    look: Callable[[Node], Looked]
    touches: tuple[str, ...] = ()
