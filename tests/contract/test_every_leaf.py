# SPDX-License-Identifier: GPL-2.0-or-later
"""
Generated over every leaf of every cfg: take away a case, a line that its test owes, or what a limit is asked of, and the verdict is worse.

The campaign is made up from the cfgs themselves: each case passes, with just the samples that its limits ask for. What is not owed
changes nothing by being left out and is not tried: the test's own answers to its limits (the judge asks each limit again), steps, seeds
and files of the evidence.
"""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from virttest import bootstrap, cartesian_config

from avocado_hvqual import catalog, load, observations, required
from avocado_hvqual.errors import JournalError
from avocado_hvqual.judging import attempts as judging_attempts
from avocado_hvqual.limits import Limit
from avocado_hvqual.locked_limits import Locked
from avocado_hvqual.model.finding import NOT_ATTEMPTED, FindingKind
from avocado_hvqual.model.record import Attempt
from avocado_hvqual.model.scaled import PROFILES, at_profile
from avocado_hvqual.model.verdict import Verdict
from tests import strategies as make

pytestmark = pytest.mark.contract
ROOT = Path(__file__).resolve().parents[2]
TREES = {"generic": ("libvirt", "qemu"), "libvirt": ("libvirt",), "qemu": ("qemu",)}
PROFILE = "lab"
GROUP = 8
"""So many cases are one campaign where each is taken away in turn."""
POLICY = load.load_policy()


def cases():
    """Every case of the cfgs at the lab's profile, as the catalog makes it of a leaf, with the limits that it ships for all profiles."""
    found = {}
    for tree, vt_types in TREES.items():
        text = StringIO("variants subtest:\n")
        text.seek(0, 2)
        paths = [("hvqual-test", str(path)) for path in sorted((ROOT / tree).rglob("*.cfg"))]
        bootstrap.write_subtests_files(paths, text)
        parser = cartesian_config.Parser()
        parser.parse_string(text.getvalue())
        for leaf in parser.get_dicts():
            for vt_type in vt_types:
                case = catalog.planned({**leaf, "vm_type": vt_type}, leaf["name"], PROFILE)
                found[case.key] = (case, catalog.limits_of(leaf))
    return found


LEAVES = cases()
CASES = [case for case, _limits in LEAVES.values()]
LIMITS = {key: limits for key, (_case, limits) in LEAVES.items()}
EACH = pytest.mark.parametrize("case", CASES, ids=[str(case.key) for case in CASES])


def value_for(limit):
    """A number that is just on the right side of a limit."""
    step = max(0.5, abs(limit.number) * 0.01)
    return limit.number + {"<": -step, ">": step}.get(limit.comparator, 0.0)


def samples_for(name, text):
    """The observation lines, no more than needed, with which one limit is met; without a limit one that was seen at all."""
    if text is None:
        return [{"kind": "observation", "name": name, "value": True, "unit": "bool"}]
    limit = Limit.parse(text)
    number = value_for(limit)
    values = [number] * limit.over
    if limit.statistic == "sum":
        values = [number, *[0.0] * (limit.over - 1)]
    if limit.statistic == "count":
        least = {"<=": limit.over, "<": limit.over}.get(limit.comparator, max(limit.over, -int(-number // 1)))
        values = [0.0] * least
    return [{"kind": "observation", "name": name, "value": value, "unit": limit.unit} for value in values]


def lines_of(case, *, changed=None):
    """The lines of a test of this case that passed; *changed* has other observation lines by name."""
    key = case.key
    begin = {"kind": "begin", "case": str(key), "id": key.hv_id, "profile": PROFILE, "wall": 1.0, "boot_id": "b"}
    lines = [{**begin, "pid": 1, "scale": {}, "params": case.params}]
    lines.append({"kind": "node_state", "when": "before", "digest": "aa"})
    owed = dict.fromkeys((*case.observations, *case.limits))
    for name in owed:
        more = (changed or {}).get(name, samples_for(name, case.limits.get(name)))
        lines += [{**line, "samples": 1, "vm": None} for line in more]
    lines.append({"kind": "node_state", "when": "after", "digest": "aa", "differences": []})
    lines.append({"kind": "end", "status": "pass", "message": "", "wall": 2.0})
    return lines


def numbered(lines):
    return [{**line, "seq": number, "mono": float(number)} for number, line in enumerate(lines)]


def attempt_of(case, lines, folder):
    """What the loader makes of the file that holds these lines."""
    path = folder / "observations.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    try:
        trace, damage = observations.read(path), ""
    except JournalError as error:
        trace, damage = None, str(error)
    return Attempt(str(case.key), "PASS", 10, logdir="job", time=1.0, trace=trace, damage=damage)


def judged(planned, attempts, rows=None):
    """The verdict on a whole, watched campaign at the lab's profile, whose required table is that of these rows."""
    rows = tuple(required.rows_of(planned)) if rows is None else tuple(rows)
    record = make.record(
        *attempts,
        attempts=tuple(attempts),
        planned=tuple(planned),
        required=rows,
        header=make.header(profile=PROFILE, lab=True),
        known=frozenset(attempt.case for attempt in attempts),
    )
    return make.judged(record, policy=replace(POLICY, required=rows))


def test_there_are_cases_of_each_tree_and_limits_of_each_kind():
    assert len(CASES) > 60
    assert {case.key.vt_type for case in CASES} == {"libvirt", "qemu"}
    assert sum(len(case.limits) for case in CASES) > 100
    assert all(case.observations for case in CASES)


@pytest.fixture(scope="module")
def attempts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return {case.key: attempt_of(case, numbered(lines_of(case)), folder) for case in CASES}


def test_when_everything_passes_the_lab_is_qualified(attempts):
    found = judged(CASES, attempts.values())
    assert [one.message for one in found.findings] == []
    assert (found.verdict, found.basis, found.clean) == (Verdict.LAB_QUALIFIED, Verdict.QUALIFIED, True)
    assert (found.required, found.attempted) == (len(CASES), len(CASES))


@pytest.mark.parametrize("start", range(0, len(CASES), GROUP))
def test_a_leaf_that_is_deleted_is_missed(start, attempts):
    """Against the rows as they were locked: of the case itself there is nothing left, neither plan nor result."""
    some = CASES[start : start + GROUP]
    rows = required.rows_of(some)
    for gone in some:
        left = [case for case in some if case is not gone]
        found = judged(left, [attempts[case.key] for case in left], rows)
        assert (found.verdict, found.clean) == (Verdict.INCOMPLETE, False), gone.key
        assert [(one.kind, one.case) for one in found.findings] == [(FindingKind.MISSING_CASE, str(gone.key))]


def test_the_lock_asks_for_every_leaf_and_for_what_it_owes():
    """What is generated here stands on the reviewed table: a leaf or an observation that is deleted from a cfg is missed by it."""
    locked = {str(key): set(row.observations) for row in required.read() for key in required.keys(row)}
    here = {str(case.key): set(case.observations) for case in CASES}
    both = here.keys() & locked.keys()
    assert len(both) > 60
    assert [key for key in both if locked[key] and not locked[key] <= here[key]] == []


def test_the_lock_holds_every_limit_of_every_leaf():
    """Of what both know, not one is more, less or other: who changes a limit has its row reviewed."""
    locked = {key: dict(row.limits) for row in required.read() if row.observations for key in required.keys(row)}
    both = LIMITS.keys() & locked.keys()
    assert len(both) > 60
    assert {key: LIMITS[key] for key in both} == {key: locked[key] for key in both}


@EACH
def test_every_limit_that_a_cfg_loses_or_weakens_is_missed(case, attempts):
    """For the reviewed rows the case is judged as it was; of the limit there is nothing left, neither in the plan nor in the policy."""
    rows = required.rows_of([case], LIMITS)
    assert judged([case], [attempts[case.key]], rows).clean
    for name, text in case.limits.items():
        less = {other: limit for other, limit in case.limits.items() if other != name}
        for limits in (less, {**less, name: weaker(text)}):
            found = judged([replace(case, limits=limits)], [attempts[case.key]], rows)
            assert (found.verdict, found.clean) == (Verdict.INCOMPLETE, False), (name, limits.get(name))
            assert (FindingKind.WEAK_LIMIT, name) in {(one.kind, one.observation) for one in found.findings}


def weaker(text):
    """A limit by which a little more is met."""
    limit = Limit.parse(text)
    if limit.comparator == "==":
        return str(replace(limit, comparator="<=" if limit.number > 0 else ">="))
    return str(replace(limit, number=limit.number + {"<": 0.5, ">": -0.5}[limit.comparator[0]]))


def test_every_limit_is_held_at_every_profile():
    """Each parameter of a limit is taken out by itself; without that of a profile the plain one holds there, which may be as strong."""
    less = 0
    for case in CASES:
        shipped = LIMITS[case.key]
        for gone in shipped:
            left = {name: text for name, text in shipped.items() if name != gone}
            rows = required.rows_of([case], LIMITS)
            missed = [
                profile
                for profile in PROFILES
                if [*Locked(rows, profile).weaker(replace(case, limits=at_profile(left, profile)))]
            ]
            plain = shipped.get(gone.rpartition("_")[0])
            as_strong = plain is not None and Limit.parse(plain).implies(Limit.parse(shipped[gone]))
            assert bool(missed) is not as_strong, (str(case.key), gone)
            less += bool(missed)
    assert less > len(CASES)


@EACH
def test_a_case_that_was_not_run_is_missed(case, attempts):
    found = judged([case], [])
    assert (found.verdict, found.clean) == (Verdict.INCOMPLETE, False)
    assert judged([case], [attempts[case.key]]).clean


@EACH
def test_every_line_that_a_test_owes_is_missed(case, tmp_path):
    """Once as a call that was never made, once as a line that somebody took out of the file."""
    lines = lines_of(case)
    assert judged([case], [attempt_of(case, numbered(lines), tmp_path)]).clean
    for place, line in enumerate(lines):
        for left in (numbered([*lines[:place], *lines[place + 1 :]]), cut(lines, place)):
            found = judged([case], [attempt_of(case, left, tmp_path)])
            assert (found.verdict, found.clean) == (Verdict.INCOMPLETE, False), line
            assert {one.kind for one in found.findings} <= NOT_ATTEMPTED, line


def cut(lines, place):
    whole = numbered(lines)
    return whole[:place] + whole[place + 1 :] if place < len(whole) - 1 else whole[:place]


@EACH
def test_every_limit_that_is_broken_or_asked_in_another_unit_is_seen(case, tmp_path):
    for name, text in case.limits.items():
        limit = Limit.parse(text)
        for other, verdict in ((broken(limit), Verdict.NOT_QUALIFIED), ([elsewhere(limit)], Verdict.INCOMPLETE)):
            more = [{"kind": "observation", "name": name, **line} for line in other]
            found = judged([case], [attempt_of(case, numbered(lines_of(case, changed={name: more})), tmp_path)])
            assert (found.verdict, found.clean) == (verdict, False), (name, text)


def broken(limit):
    """Samples that break a limit, all of them."""
    beyond = limit.number + {"<": 1.0, ">": -1.0, "=": 1.0}[limit.comparator[0]] * max(1.0, abs(limit.number))
    if limit.statistic == "count":
        number = limit.over if limit.comparator[0] != "<" else int(limit.number) + 1
        if limit.holds(number):
            number += 1
        return [{"value": 0.0, "unit": limit.unit}] * number
    return [{"value": beyond, "unit": limit.unit}] * limit.over


def elsewhere(limit):
    return {"value": value_for(limit), "unit": f"{limit.unit}x"}


def test_a_limit_that_the_policy_holds_is_missed_when_its_cfg_loses_it(attempts):
    held = 0
    for case in CASES:
        for floor in POLICY.limit_floors:
            if not floor.concerns(case.key.hv_id):
                continue
            held += 1
            limits = {name: text for name, text in case.limits.items() if name != floor.observation}
            found = judged([replace(case, limits=limits)], [attempts[case.key]])
            assert (found.verdict, found.clean) == (Verdict.INCOMPLETE, False), case.key
            assert FindingKind.WEAK_LIMIT in {one.kind for one in found.findings}
    assert held >= len(POLICY.limit_floors)


def test_more_than_is_owed_changes_nothing(tmp_path):
    case = next(case for case in CASES if case.limits)
    name, text = next(iter(case.limits.items()))
    lines = lines_of(case)
    lines[2:2] = [
        {"kind": "step", "name": "start", "phase": "begin", "vm": None},
        {"kind": "seed", "seed": "1", "about": "x"},
        {"kind": "criterion", "observation": name, "limit": text, "answer": "unmet"},
    ]
    assert judged([case], [attempt_of(case, numbered(lines), tmp_path)]).clean, "the judge asks the limit again"


def test_these_tests_would_notice_a_judge_that_believes_a_pass(tmp_path, monkeypatch):
    case = CASES[0]
    left = numbered([line for line in lines_of(case) if line.get("name") != case.observations[0]])
    assert not judged([case], [attempt_of(case, left, tmp_path)]).clean
    monkeypatch.setattr(judging_attempts, "_owed", lambda *_: ())
    monkeypatch.setattr(judging_attempts, "_judgements", lambda *_: ())
    assert judged([case], [attempt_of(case, left, tmp_path)]).clean
