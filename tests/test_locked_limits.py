# SPDX-License-Identifier: GPL-2.0-or-later
"""A limit with which a case ships is missed when it is deleted or weaker: by the plan, by the judge, by the check of the lock."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from avocado_hvqual import catalog, plan, profiles, required
from avocado_hvqual.campaign import cli
from avocado_hvqual.campaign.durations import Durations
from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.ledger import Entry, Ledger
from avocado_hvqual.locked_limits import Locked
from avocado_hvqual.model.case import RequiredRow
from avocado_hvqual.model.finding import FindingKind
from avocado_hvqual.model.scaled import at_profile
from avocado_hvqual.model.verdict import Verdict
from tests import strategies as make
from tests.strategies import CLOUD, POLICY, START, STOP, judged, planned, record, row
from tests.test_plan import Entry as Catalogued
from tests.test_plan import Runnable

SHIPPED = (
    ("guest_ready", "max <= 10 s"),
    ("guest_ready_production", "max <= 8 s over 3"),
    ("heartbeat_gap", "max <= 2 s"),
)
AS_SHIPPED = {"guest_ready": "max <= 10 s", "heartbeat_gap": "max <= 2 s"}


def locked(key=START):
    return row(key, limits=SHIPPED)


def weaker(limits, profile="lab", rows=None, key=START):
    return [one.observation for one in Locked(rows or (locked(),), profile).weaker(planned(key, limits=limits))]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"guest_ready": None}, ["guest_ready"]),
        ({"guest_ready": None, "heartbeat_gap": None}, ["guest_ready", "heartbeat_gap"]),
        ({"guest_ready": "max <= 11 s"}, ["guest_ready"]),
        ({"guest_ready": "max < 10 s"}, []),
        ({"guest_ready": "max <= 9 s over 3"}, []),
        ({"guest_ready": "median <= 1 s"}, ["guest_ready"]),
        ({"guest_ready": "min <= 10 s"}, ["guest_ready"]),
        ({"guest_ready": "max <= 10 ms"}, ["guest_ready"]),
        ({"guest_ready": "soon"}, ["guest_ready"]),
        ({"guest_ready": ""}, ["guest_ready"]),
        ({"heartbeat_gap": "max <= 2.000 s"}, []),
        ({"another": "max <= 1000 s"}, []),
    ],
)
def test_what_is_weaker_than_it_ships(changes, found):
    limits = {name: text for name, text in {**AS_SHIPPED, **changes}.items() if text is not None}
    assert weaker(limits) == found


def test_a_profile_has_its_own_limit_and_its_loss_is_seen_there():
    strong = {**AS_SHIPPED, "guest_ready": "max <= 8 s over 3"}
    assert weaker(strong, "production") == []
    assert weaker(AS_SHIPPED, "production") == ["guest_ready"], "the suffix is gone from the cfg, the plain name stays"
    assert weaker(AS_SHIPPED, "lab") == []


def test_only_rows_that_ask_for_the_case_count():
    assert weaker({}, rows=(locked(STOP), locked(CLOUD))) == []
    assert weaker({}, rows=(replace(locked(), configurations=("n_equal",)),)) == []
    assert weaker({}, rows=(replace(locked(), vt_type="qemu"),)) == []
    assert weaker({}, rows=(replace(locked(), vt_type=""),)) == ["guest_ready", "heartbeat_gap"]
    both = (replace(locked(), configurations=(*locked().configurations, "n_equal")), locked())
    assert weaker({}, rows=both) == ["guest_ready", "heartbeat_gap"], (
        "the policy's row and the campaign's, which is narrower"
    )


@pytest.mark.parametrize("limits", [{"guest_ready": "max <= 30 s"}, {}])
@pytest.mark.parametrize("where", ["campaign", "policy"])
def test_a_weaker_limit_is_a_finding_that_caps_the_verdict(limits, where):
    """Whoever changes the cfg, or the cfg and the campaign's own copy of the table, is told on."""
    asked = (row(limits=(("guest_ready", "max <= 10 s"),)),)
    campaign = record(planned=(planned(limits=limits),), required=asked if where == "campaign" else (row(),))
    policy = replace(POLICY, required=asked if where == "policy" else ())
    found = judged(campaign, policy=policy)
    assert (found.verdict, found.clean) == (Verdict.INCOMPLETE, False)
    assert [(one.kind, one.case, one.observation) for one in found.findings] == [
        (FindingKind.WEAK_LIMIT, START, "guest_ready")
    ]
    assert "the case ships with 'max <= 10 s'" in found.findings[0].message
    assert found.results[0].outcome == "not attempted"
    entry = Entry("K", "b", "o", pattern="the case ships", waiver_reason="r", waiver_expires=make.TODAY)
    assert judged(campaign, policy=policy, ledger=Ledger((entry,))).verdict is Verdict.INCOMPLETE
    assert judged(record(required=asked), policy=policy).verdict is Verdict.QUALIFIED, "as it ships"


def entry(**changes):
    """One case of a catalog, as its cfg ships it with these parameters."""
    kwargs = {f"hv_limit_{name}": text for name, text in {**dict(SHIPPED), **changes}.items() if text}
    limits = catalog.limits_of(at_profile(kwargs, "lab"))
    return Catalogued(planned(limits=limits), Runnable(kwargs))


def lock_of(one):
    return required.rows_of([one.planned], {one.planned.key: catalog.limits_of(one.runnable.kwargs)})


def test_the_lock_has_the_limits_of_every_profile_and_the_row_goes_there_and_back(tmp_path):
    one = entry()
    (made,) = lock_of(one)
    assert made.limits == SHIPPED
    assert RequiredRow.from_json(json.loads(json.dumps(made.to_json()))) == made
    path = tmp_path / "required.lock.yaml"
    path.write_text(required.text([one.planned], (), {one.planned.key: dict(SHIPPED)}), encoding="utf-8")
    assert required.read(path) == [made]
    assert len(path.read_text(encoding="utf-8").splitlines()) == len(required.HEADER.splitlines()) + 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"guest_ready": None}, "the limit on 'guest_ready' is none in the cfg, 'max <= 10 s' in the lock"),
        ({"heartbeat_gap": "max <= 3 s"}, "is 'max <= 3 s' in the cfg, 'max <= 2 s' in the lock"),
        ({"guest_ready_production": None}, "the limit on 'guest_ready_production' is none in the cfg"),
        ({"more": "max <= 1 s"}, "the limit on 'more' is 'max <= 1 s' in the cfg, none in the lock"),
        ({}, ""),
    ],
)
def test_the_check_of_the_lock_names_each_limit_that_differs(changes, said):
    now = entry(**changes)
    found = required.differences(
        [now.planned], lock_of(entry()), {now.planned.key: catalog.limits_of(now.runnable.kwargs)}
    )
    assert len(found) == bool(said)
    assert said in "".join(found)


@pytest.mark.parametrize(
    "limits", [None, [], "max <= 10 s", {"guest_ready": "max <= soon s"}, {"guest_ready": 10}, {"guest_ready": None}]
)
def test_a_lock_without_limits_or_with_other_words_is_refused(tmp_path, limits):
    fields = {**locked().to_json(), "limits": limits}
    if limits is None:
        del fields["limits"]
    path = tmp_path / "required.lock.yaml"
    path.write_text(f"{required.HEADER}  - {json.dumps(fields)}\n", encoding="utf-8")
    with pytest.raises(DefinitionError, match=r"required\.lock\.yaml:4: the row is malformed"):
        required.read(path)


def test_an_older_lock_is_written_anew_and_nothing_else_takes_it(tmp_path):
    fields = locked().to_json()
    del fields["limits"]
    path = tmp_path / "required.lock.yaml"
    path.write_text(f"{required.HEADER}  - {json.dumps(fields)}\n", encoding="utf-8")
    one = entry()
    before = required.read(path, anew=True)
    assert before == [row()]
    path.write_text(required.text([one.planned], before, {one.planned.key: dict(SHIPPED)}), encoding="utf-8")
    assert required.read(path) == lock_of(one)


def test_a_row_that_is_open_owes_no_limit(tmp_path):
    path = tmp_path / "required.lock.yaml"
    fields = {**row(observations=(), components=(), vt_type="").to_json(), "limits": dict(SHIPPED)}
    path.write_text(f"{required.HEADER}  - {json.dumps(fields)}\n", encoding="utf-8")
    with pytest.raises(DefinitionError, match="owes nothing"):
        required.read(path)


def test_the_plan_tells_before_anything_runs():
    now = entry(guest_ready="max <= 30 s", heartbeat_gap=None)
    made = plan.make(profiles.load("lab"), {now.planned.key: now}, lock_of(entry()))
    assert [(one.observation, str(one.key)) for one in made.weaker] == [
        ("guest_ready", START),
        ("heartbeat_gap", START),
    ]
    text = cli._as_text(made, {START: 1.0})
    assert f"WEAKER: {START}: 'guest_ready' was asked 'max <= 30 s'; the case ships with 'max <= 10 s'." in text
    assert json.loads(cli._as_json(made, {START: 1.0}, Durations()))["weaker"][1] == {
        "key": START,
        "observation": "heartbeat_gap",
        "sentence": "'heartbeat_gap' was asked nothing; the case ships with 'max <= 2 s'.",
    }
    assert "WEAKER" not in cli._as_text(
        plan.make(profiles.load("lab"), {now.planned.key: entry()}, lock_of(entry())), {START: 1.0}
    )


def test_a_limit_that_is_given_on_the_command_line_does_not_hide_in_the_lock():
    """The plan keeps what ships; the given one is a parameter that differs, and the judge asks the shipped one."""
    now = entry()
    made = plan.make(
        profiles.load("lab"), {now.planned.key: now}, lock_of(entry()), (), {"hv_limit_guest_ready": "max <= 99 s"}
    )
    assert made.cases[0].planned.limits["guest_ready"] == "max <= 10 s"
    assert (made.weaker, made.changes[0].given) == ((), "max <= 99 s")


def test_the_shipped_lock_locks_limits():
    rows = [one for one in required.read() if not required.is_open(one)]
    assert sum(len(one.limits) for one in rows) > 300
    assert any(name.endswith("_production") for one in rows for name, _text in one.limits)
    assert Path(required.LOCK).read_text(encoding="utf-8").startswith(required.HEADER)
