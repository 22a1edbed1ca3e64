# SPDX-License-Identifier: GPL-2.0-or-later
"""
Reader of observations.jsonl, the file in which the provider's half and this half meet (one JSON object a line).

`read(path)` gives a `CaseTrace`. A torn last line is what a killed test leaves and is noted; anything else that is not as the
format says is a JournalError which begins with file:line. Samples are taken as they are: what they mean is the criteria's business.
"""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from sys import intern
from typing import Any, Callable, Optional

from avocado_hvqual.errors import JournalError
from avocado_hvqual.model.finding import FindingKind
from avocado_hvqual.model.observation import Capability, CaseTrace, Evidence, Observation, Problem

FILE = "observations.jsonl"
STATUSES = {"pass", "fail", "error", "cancel"}
Fields = dict[str, Any]


class _MalformedError(Exception):
    """Raised when one line is not what the format says; carries the sentence without file and line."""


def _take(line: Fields, name: str, *kinds: type) -> Any:
    """Return a field of one of the given types (a bool is no number here)."""
    value = line.get(name)
    if isinstance(value, bool) and bool not in kinds:
        value = None
    if not isinstance(value, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        message = f"field '{name}' is {json.dumps(line.get(name))[:80]}, expected {wanted}"
        raise _MalformedError(message)
    return value


class _Builder:
    """Takes the lines of one file in their order and ends as a CaseTrace."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.start: Fields = {}
        self.observations: list[Observation] = []
        self.criteria: list[tuple[str, str, str]] = []
        self.evidence_files: list[Evidence] = []
        self.capabilities: list[Capability] = []
        self.problems: list[Problem] = []
        self.states: dict[str, str] = {}
        self.differences: list[str] = []
        self.steps: list[str] = []
        self.ended: Fields = {}

    def begin(self, line: Fields) -> None:
        if self.start:
            message = "a second 'begin'"
            raise _MalformedError(message)
        for name in ("case", "id", "profile", "boot_id"):
            _take(line, name, str)
        for name in ("scale", "params"):
            _take(line, name, dict)
        _take(line, "wall", int, float)
        self.start = line

    def observation(self, line: Fields) -> None:
        # A long campaign has a million of these lines: no call but what is needed.
        value, name, unit, vm = line.get("value"), line.get("name"), line.get("unit"), line.get("vm")
        mono, samples = line.get("mono"), line.get("samples")
        if type(value) is float:
            if not isfinite(value):
                message = f"observation '{name}' is {value}, which is no number"
                raise _MalformedError(message)
        elif not isinstance(value, (int, str)):
            _take(line, "value", int, float, str, bool)
        if type(name) is not str or type(unit) is not str or type(samples) is not int or type(mono) is not float:
            name, unit = _take(line, "name", str), _take(line, "unit", str)
            mono, samples = _take(line, "mono", int, float), _take(line, "samples", int)
        text = intern(vm) if type(vm) is str else None
        self.observations.append(Observation(intern(name), value, intern(unit), mono, samples, text))  # type: ignore[arg-type]

    def criterion(self, line: Fields) -> None:
        self.criteria.append((_take(line, "observation", str), _take(line, "limit", str), _take(line, "answer", str)))

    def evidence(self, line: Fields) -> None:
        path = _take(line, "path", str)
        if Path(path).is_absolute() or ".." in Path(path).parts:
            message = f"evidence lies at '{path}', which is outside the test's folder"
            raise _MalformedError(message)
        where = f"{self.prefix}/{path}" if self.prefix else path
        self.evidence_files.append(
            Evidence(_take(line, "name", str), where, _take(line, "sha256", str), _take(line, "about", str))
        )

    def capability(self, line: Fields) -> None:
        self.capabilities.append(
            Capability(_take(line, "name", str), _take(line, "ok", bool), _take(line, "reason", str))
        )

    def step(self, line: Fields) -> None:
        name, phase = _take(line, "name", str), _take(line, "phase", str)
        if phase == "begin":
            self.steps.append(name)
        elif phase == "end" and name in self.steps:
            self.steps.remove(name)
        else:
            message = f"step '{name}' has the phase '{phase}' without a begin"
            raise _MalformedError(message)

    def problem(self, line: Fields) -> None:
        what = _take(line, "what", str)
        if what not in FindingKind.values():
            message = f"problem '{what}' is no kind of finding"
            raise _MalformedError(message)
        self.problems.append(Problem(what, _take(line, "message", str), line.get("vm")))

    def node_state(self, line: Fields) -> None:
        when = _take(line, "when", str)
        self.states[when] = _take(line, "digest", str)
        if when == "after":
            self.differences.extend(map(str, _take(line, "differences", list)))

    def undo(self, line: Fields) -> None:
        _take(line, "message", str)

    def end(self, line: Fields) -> None:
        if _take(line, "status", str) not in STATUSES:
            message = f"the test ended in '{line['status']}', none of {', '.join(sorted(STATUSES))}"
            raise _MalformedError(message)
        _take(line, "message", str)
        self.ended = line

    def trace(self, *, torn: bool) -> CaseTrace:
        start, ended = self.start, self.ended
        return CaseTrace(
            start["case"],
            start["id"],
            start["profile"],
            float(start["wall"]),
            start["boot_id"],
            start["scale"],
            {str(name): str(value) for name, value in start["params"].items()},
            tuple(self.observations),
            tuple(self.criteria),
            tuple(self.evidence_files),
            tuple(self.capabilities),
            tuple(self.problems),
            self.states.get("before"),
            self.states.get("after"),
            tuple(self.differences),
            tuple(self.steps),
            ended.get("status"),
            ended.get("message", ""),
            torn,
        )


_KINDS: dict[str, Callable[[_Builder, Fields], None]] = {
    "begin": _Builder.begin,
    "observation": _Builder.observation,
    "criterion": _Builder.criterion,
    "evidence": _Builder.evidence,
    "capability": _Builder.capability,
    "step": _Builder.step,
    "problem": _Builder.problem,
    "node_state": _Builder.node_state,
    "undo": _Builder.undo,
    "end": _Builder.end,
}


def _apply(builder: _Builder, text: str, number: int) -> None:
    try:
        line = json.loads(text)
    except ValueError as error:
        message = f"not JSON ({error})"
        raise _MalformedError(message) from error
    if not isinstance(line, dict) or line.get("kind") not in _KINDS:
        message = f"kind is none of {', '.join(_KINDS)}"
        raise _MalformedError(message)
    if line.get("seq") != number:
        message = f"seq is {line.get('seq')}, expected {number}: lines were lost, doubled or moved"
        raise _MalformedError(message)
    if (number == 0) != (line["kind"] == "begin") or builder.ended:
        message = f"'{line['kind']}' at this place: 'begin' comes first and nothing follows 'end'"
        raise _MalformedError(message)
    _KINDS[line["kind"]](builder, line)


def read(path: Path, prefix: str = "") -> Optional[CaseTrace]:
    """
    Return what the test wrote, or None when not even its first line is whole (it touched nothing yet).

    *prefix* is put before the paths of evidence (the test's folder as seen from the campaign's).
    """
    builder, number, torn = _Builder(prefix), -1, False
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as lines:
            for number, text in enumerate(lines):
                torn = not text.endswith("\n")
                if torn:
                    break
                try:
                    _apply(builder, text, number)
                except _MalformedError as error:
                    message = f"{path}:{number + 1}: {error}. The file is not as the test wrote it."
                    raise JournalError(message) from error
    except OSError as error:
        message = f"{path}:1: cannot be read: {error.strerror}."
        raise JournalError(message) from error
    return builder.trace(torn=torn) if builder.start else None
