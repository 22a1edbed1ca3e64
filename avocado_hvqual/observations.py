# SPDX-License-Identifier: GPL-2.0-or-later
"""
Reader of observations.jsonl, the file in which the provider's half and this half meet (one JSON object a line).

`read(path)` gives a `CaseTrace`. A torn last line is what a killed test leaves and is noted; anything else that is not as the
format says is a JournalError which begins with file:line. Samples are taken as they are: what they mean is the criteria's business.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from operator import itemgetter
from pathlib import Path
from sys import intern
from typing import Any, Callable, Optional

from avocado_hvqual.errors import JournalError
from avocado_hvqual.model.finding import FindingKind
from avocado_hvqual.model.observation import Capability, CaseTrace, Evidence, Observation, Problem, Seed, Step

FILE = "observations.jsonl"
STATUSES = {"pass", "fail", "error", "cancel"}
Fields = dict[str, Any]
_LATEST = 253_402_300_799.0
"""The last second of the year 9999: no clock shows more, and no calendar writes it down."""
# Until steps had a field for it, the VM stood at the end of their name.
_STEP_OF_VM = re.compile(r"(.+) (hvq-[\w.-]+)\Z")
_SAMPLE = ("value", "name", "unit", "vm", "mono", "samples")
_sample = itemgetter(*_SAMPLE)
_new = tuple.__new__
_decode = json.JSONDecoder().raw_decode


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


def _seconds(line: Fields, name: str) -> float:
    """Return a field that is a time."""
    value = _take(line, name, int, float)
    if not -_LATEST <= value <= _LATEST:
        message = f"field '{name}' is {value!r:.40}, which is no time"
        raise _MalformedError(message)
    return float(value)


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
        self.steps: list[Step] = []
        self.running: list[int] = []
        self.seeds: list[Seed] = []
        self.first = self.last = 0.0
        self.ended: Fields = {}

    def at(self, line: Fields) -> None:
        """Note when the line was written."""
        mono = line.get("mono")
        if type(mono) is float and isfinite(mono):
            self.last = mono
        elif mono is not None:
            self.last = _seconds(line, "mono")
        if not self.start:
            self.first = self.last

    def begin(self, line: Fields) -> None:
        if self.start:
            message = "a second 'begin'"
            raise _MalformedError(message)
        for name in ("case", "id", "profile", "boot_id"):
            _take(line, name, str)
        for name in ("scale", "params"):
            _take(line, name, dict)
        _seconds(line, "wall")
        self.start = line

    def observation(self, line: Fields) -> None:
        # A long campaign has a million of these lines: no call but what is needed.
        try:
            value, name, unit, vm, mono, samples = _sample(line)
        except KeyError:
            value, name, unit, vm, mono, samples = map(line.get, _SAMPLE)
        if type(value) is float:
            if not isfinite(value):
                message = f"observation '{name}' is {value}, which is no number"
                raise _MalformedError(message)
        elif not isinstance(value, (int, str)):
            _take(line, "value", int, float, str, bool)
        if type(name) is not str or type(unit) is not str or type(samples) is not int or type(mono) is not float:
            name, unit = _take(line, "name", str), _take(line, "unit", str)
            mono, samples = _take(line, "mono", int, float), _take(line, "samples", int)
        if type(mono) is float and isfinite(mono):
            self.last = mono
        else:
            self.at(line)
        text = intern(vm) if type(vm) is str else None
        label = intern(_take(line, "label", str)) if "label" in line else ""
        self.observations.append(_new(Observation, (intern(name), value, intern(unit), mono, samples, text, label)))

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
        name, phase, vm = _take(line, "name", str), _take(line, "phase", str), line.get("vm")
        if vm is not None:
            _take(line, "vm", str)
        elif "vm" not in line and (old := _STEP_OF_VM.match(name)):
            name, vm = old.groups()
        mono = _seconds(line, "mono")
        if phase == "begin":
            self.running.append(len(self.steps))
            self.steps.append(Step(intern(name), vm and intern(vm), mono))
            return
        begun = next((place for place in reversed(self.running) if self.steps[place][:2] == (name, vm)), None)
        if phase != "end" or begun is None:
            message = f"step '{name}' has the phase '{phase}' without a begin"
            raise _MalformedError(message)
        self.running.remove(begun)
        self.steps[begun] = self.steps[begun]._replace(end=mono)

    def seed(self, line: Fields) -> None:
        self.seeds.append(Seed(_take(line, "seed", str), _take(line, "about", str)))

    def problem(self, line: Fields) -> None:
        what = _take(line, "what", str)
        if what not in FindingKind.values():
            message = f"problem '{what}' is no kind of finding"
            raise _MalformedError(message)
        vm = _take(line, "vm", str, type(None)) if "vm" in line else None
        mono = self.last if "mono" in line else None
        self.problems.append(Problem(what, _take(line, "message", str), vm, mono))

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
            case=start["case"],
            id=start["id"],
            profile=start["profile"],
            wall=float(start["wall"]),
            boot_id=start["boot_id"],
            scale=start["scale"],
            params={str(name): str(value) for name, value in start["params"].items()},
            observations=tuple(self.observations),
            criteria=tuple(self.criteria),
            evidence=tuple(self.evidence_files),
            capabilities=tuple(self.capabilities),
            problems=tuple(self.problems),
            digest_before=self.states.get("before"),
            digest_after=self.states.get("after"),
            differences=tuple(self.differences),
            open_steps=tuple(self.steps[place].words for place in self.running),
            status=ended.get("status"),
            message=ended.get("message", ""),
            torn=torn,
            mono=self.first,
            mono_last=max(self.first, self.last),
            steps=tuple(self.steps),
            seeds=tuple(self.seeds),
        )


_KINDS: dict[str, Callable[[_Builder, Fields], None]] = {
    "begin": _Builder.begin,
    "observation": _Builder.observation,
    "criterion": _Builder.criterion,
    "evidence": _Builder.evidence,
    "capability": _Builder.capability,
    "step": _Builder.step,
    "seed": _Builder.seed,
    "problem": _Builder.problem,
    "node_state": _Builder.node_state,
    "undo": _Builder.undo,
    "end": _Builder.end,
}


def _json(text: str) -> Any:
    """Return what `json.loads` does; that one looks for blanks around it first, which takes a third of its time."""
    try:
        line, end = _decode(text)
    except ValueError:
        return json.loads(text)
    return line if end == len(text) - 1 else json.loads(text)


def _apply(builder: _Builder, text: str, number: int) -> None:
    try:
        line = _json(text)
    except (ValueError, RecursionError) as error:
        message = f"not JSON ({error})"
        raise _MalformedError(message) from error
    kind = line.get("kind") if isinstance(line, dict) else None
    take = _KINDS.get(kind) if isinstance(kind, str) else None
    if take is None:
        message = f"kind is none of {', '.join(_KINDS)}"
        raise _MalformedError(message)
    if line.get("seq") != number:
        message = f"seq is {line.get('seq')}, expected {number}: lines were lost, doubled or moved"
        raise _MalformedError(message)
    if (number == 0) != (kind == "begin") or builder.ended:
        message = f"'{kind}' at this place: 'begin' comes first and nothing follows 'end'"
        raise _MalformedError(message)
    if take is not _Builder.observation:
        builder.at(line)
    take(builder, line)


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
