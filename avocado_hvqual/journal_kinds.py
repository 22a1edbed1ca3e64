# SPDX-License-Identifier: GPL-2.0-or-later
"""
The lines of a campaign's journal: which kinds there are, and the fields of each one's data.

Closed: an unknown kind, a field too many, a missing one or one of another type is refused when it is written and named when it is
read. `schemas/journal.json` publishes the same; a test holds the two together.

==============  =====================================================================================================
campaign        first line: id, profile, selection, lab, node (facts; id and hostname), command, versions
plan            profile, cases (PlannedCase.to_json), required (RequiredRow.to_json)
phase-begin     phase
job-begin       phase, vt_type, job_dir (relative to the campaign's folder, or absolute)
case-begin      case, logdir (relative to the campaign's folder; null when not known yet)
case-end        case, status (avocado's), fail_reason, fail_class, logdir (or null), time (seconds)
health          case or null, events: [{kind, message, evidence, wall?}]
health-state    case or null, state known | unknown, reason
node-state      case or null, before, after (digests or null), differences
gate            phase, passed, reason
gate-override   phase, reason: the operator's, who lets the phase begin although its gate is closed
alarm           case or null, kind, severity, message, fingerprint, told (by what), problems: a critical finding was told at once
stop            reason: the phase ends after the case that runs
evidence        path, size, sha256: what the first size bytes of a file in the campaign's folder are
parameter       name, value, profile_value, case or null: a parameter that differs from the profile
reboot-planned  reason: the node will boot anew and is meant to
continued       verb resume | rerun, command, cases: the campaign goes on in another process, with these cases to run
build           versions: the builds under test from here on
mirror          state streaming | lost, uri, reason: the copy off the node; a lost one stops nothing
problem         message, where: something of ours broke
campaign-end    status finished | interrupted | stopped
==============  =====================================================================================================
"""

from __future__ import annotations

from typing import Any, Union

from avocado_hvqual.model.finding import FindingKind

Types = Union[type, tuple[type, ...]]
_TEXT_OR_NULL = (str, type(None))
_NUMBER = (int, float)

FIELDS: dict[str, dict[str, Types]] = {
    "campaign": {
        "id": str,
        "profile": str,
        "selection": bool,
        "lab": bool,
        "node": dict,
        "command": str,
        "versions": dict,
    },
    "plan": {"profile": str, "cases": list, "required": list},
    "phase-begin": {"phase": str},
    "job-begin": {"phase": str, "vt_type": str, "job_dir": str},
    "case-begin": {"case": str, "logdir": _TEXT_OR_NULL},
    "case-end": {
        "case": str,
        "status": str,
        "fail_reason": str,
        "fail_class": str,
        "logdir": _TEXT_OR_NULL,
        "time": _NUMBER,
    },
    "health": {"case": _TEXT_OR_NULL, "events": list},
    "health-state": {"case": _TEXT_OR_NULL, "state": str, "reason": str},
    "node-state": {"case": _TEXT_OR_NULL, "before": _TEXT_OR_NULL, "after": _TEXT_OR_NULL, "differences": list},
    "gate": {"phase": str, "passed": bool, "reason": str},
    "gate-override": {"phase": str, "reason": str},
    "alarm": {
        "case": _TEXT_OR_NULL,
        "kind": str,
        "severity": str,
        "message": str,
        "fingerprint": str,
        "told": list,
        "problems": list,
    },
    "stop": {"reason": str},
    "evidence": {"path": str, "size": int, "sha256": str},
    "parameter": {"name": str, "value": str, "profile_value": str, "case": _TEXT_OR_NULL},
    "reboot-planned": {"reason": str},
    "continued": {"verb": str, "command": str, "cases": list},
    "build": {"versions": dict},
    "mirror": {"state": str, "uri": str, "reason": str},
    "problem": {"message": str, "where": str},
    "campaign-end": {"status": str},
}

CLOSED: dict[tuple[str, str], tuple[str, ...]] = {
    ("health-state", "state"): ("known", "unknown"),
    ("mirror", "state"): ("streaming", "lost"),
    ("campaign-end", "status"): ("finished", "interrupted", "stopped"),
    ("phase-begin", "phase"): ("preparation", "hypervisor", "cloud"),
    ("job-begin", "phase"): ("preparation", "hypervisor", "cloud"),
    ("continued", "verb"): ("resume", "rerun"),
    ("gate", "phase"): ("preparation", "hypervisor", "cloud"),
    ("gate-override", "phase"): ("preparation", "hypervisor", "cloud"),
    ("alarm", "severity"): ("critical", "major", "minor"),
}
EVENT = {"kind": str, "message": str, "evidence": str}
# When the node's own log says that it happened, in seconds since the epoch; an event that was only noticed has none.
EVENT_MAY = {"wall": (int, float)}


def _fits(value: Any, types: Types) -> bool:
    wanted = types if isinstance(types, tuple) else (types,)
    return isinstance(value, wanted) and (not isinstance(value, bool) or bool in wanted)


def _fields(data: dict[str, Any], fields: dict[str, Types], where: str) -> list[str]:
    wrong = [f"{where} has no field '{name}'" for name in fields if name not in data]
    wrong += [f"{where} has the unknown field '{name}'" for name in data if name not in fields]
    wrong += [
        f"field '{name}' of {where} is {value!r:.60}"
        for name, value in data.items()
        if name in fields and not _fits(value, fields[name])
    ]
    return wrong


def wrong_with(kind: str, data: Any) -> list[str]:
    """Return what is wrong with a line's data, one part of a sentence each; empty when nothing is."""
    if kind not in FIELDS:
        return [f"the kind '{kind}' is none of {', '.join(FIELDS)}"]
    if not isinstance(data, dict):
        return [f"the data of '{kind}' is no object"]
    wrong = _fields(data, FIELDS[kind], f"'{kind}'")
    for (of, name), allowed in CLOSED.items():
        if of == kind and isinstance(data.get(name), str) and data[name] not in allowed:
            wrong.append(f"field '{name}' of '{kind}' is '{data[name]}', none of {', '.join(allowed)}")
    if kind == "health" and not wrong:
        wrong += _events(data["events"])
    if kind == "campaign" and not wrong:
        wrong += [
            f"'node' has no text '{name}'" for name in ("id", "hostname") if not isinstance(data["node"].get(name), str)
        ]
    return wrong


def _events(events: list[Any]) -> list[str]:
    wrong: list[str] = []
    for event in events:
        if not isinstance(event, dict):
            wrong.append(f"the event {event!r:.60} is no object")
            continue
        wrong += _fields(event, {**EVENT, **{name: EVENT_MAY[name] for name in EVENT_MAY if name in event}}, "an event")
        if isinstance(event.get("kind"), str) and event["kind"] not in FindingKind.values():
            wrong.append(f"the event's kind '{event['kind']}' is no kind of finding")
    return wrong
