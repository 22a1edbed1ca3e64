# SPDX-License-Identifier: GPL-2.0-or-later
"""A plan loses nothing that is required, takes nothing that is unknown, and says what it changed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from avocado_hvqual import plan, profiles, required
from avocado_hvqual.errors import DefinitionError, PlanError
from avocado_hvqual.model.case import CaseKey, Impact, Phase, RequiredRow
from avocado_hvqual.model.plan import PlannedCase


@dataclass
class Runnable:
    kwargs: dict[str, str]
    uri: str = "x"


@dataclass
class Entry:
    planned: PlannedCase
    runnable: Any = field(default_factory=lambda: Runnable({}))


def case(key: str, phase: Phase = Phase.HYPERVISOR, **params: str) -> Entry:
    parsed = CaseKey.parse(key)
    given = {"hv_profile": "lab", "hv_rounds": "3", "hv_limit_answer": "max <= 10 s", **params}
    planned = PlannedCase(
        key=parsed,
        phase=phase,
        category=parsed.hv_id.split(".")[1],
        impact=Impact.GUEST,
        components=("kvm", "qemu"),
        observations=("answer",),
        limits={"answer": "max <= 10 s"},
        timeout=60.0,
        params=dict(given),
    )
    return Entry(planned, Runnable(dict(given)))


KEYS = (
    "qemu:hvqual.cloud.sla.start_time:single_big",
    "libvirt:hvqual.cloud.sla.start_time:single_big",
    "libvirt:hvqual.lifecycle.start:n_equal",
    "libvirt:hvqual.lifecycle.start:single_big",
    "libvirt:hvqual.lifecycle.start:single_big:twin=boot",
    "libvirt:hvqual.prep.packages:none",
)


def phase_of(key: str) -> Phase:
    return {"cloud": Phase.CLOUD, "prep": Phase.PREPARATION}.get(key.split(".")[1], Phase.HYPERVISOR)


def catalog() -> dict[CaseKey, Entry]:
    return {CaseKey.parse(key): case(key, phase_of(key)) for key in KEYS}


def rows(cases: dict[CaseKey, Entry]) -> list[Any]:
    return required.rows_of(entry.planned for entry in cases.values())


def keys(made: plan.Made) -> list[str]:
    return [str(ready.planned.key) for ready in made.cases]


LAB = profiles.load("lab")
SMOKE = profiles.load("smoke")


def test_every_shipped_profile_is_read_and_named_like_its_file() -> None:
    assert set(profiles.names()) == {"smoke", "lab", "nightly", "production"}
    assert all(profiles.load(name).name == name for name in profiles.names())
    assert profiles.load("production").accept == ("QUALIFIED",)
    assert not profiles.load("production").part
    assert SMOKE.part


def test_cases_are_sorted_by_phase_category_and_id_whatever_order_they_come_in() -> None:
    forward, backward = catalog(), dict(reversed(list(catalog().items())))
    expected = keys(plan.make(LAB, forward, rows(forward)))
    assert keys(plan.make(LAB, backward, rows(backward))) == expected
    assert [key.split(".")[1] for key in expected] == ["prep", "lifecycle", "lifecycle", "lifecycle", "cloud", "cloud"]


def test_a_required_row_without_a_case_stays_in_the_denominator_and_is_named() -> None:
    cases = catalog()
    table = rows(cases)
    del cases[CaseKey.parse("libvirt:hvqual.lifecycle.start:single_big:twin=boot")]
    made = plan.make(LAB, cases, table)
    assert [str(key) for _, key in made.missing] == ["libvirt:hvqual.lifecycle.start:single_big:twin=boot"]
    assert made.denominator == len(KEYS)
    assert made.missing_in(Phase.HYPERVISOR)
    assert not made.missing_in(Phase.CLOUD)


def test_a_row_that_leaves_the_backend_open_is_answered_by_either() -> None:
    cases = catalog()
    table = [row for row in rows(cases) if row.id == "hvqual.cloud.sla.start_time"][:1]
    open_row = table[0].__class__(**{**vars(table[0]), "vt_type": ""})
    assert not plan.make(LAB, cases, [open_row]).missing
    without = {key: entry for key, entry in cases.items() if "start_time" not in str(key)}
    assert [str(key) for _, key in plan.make(LAB, without, [open_row]).missing] == [
        "any:hvqual.cloud.sla.start_time:single_big"
    ]


def test_smoke_takes_its_ids_and_configurations_only_and_is_a_part_run() -> None:
    cases = catalog()
    more = replace(SMOKE, host_configurations=("none", "single_big", "n_equal"))
    assert "libvirt:hvqual.lifecycle.start:n_equal" in keys(plan.make(more, cases, rows(cases)))
    made = plan.make(SMOKE, cases, rows(cases))
    assert "libvirt:hvqual.lifecycle.start:n_equal" not in keys(made)
    assert "libvirt:hvqual.prep.packages:none" not in keys(made)
    assert made.part
    assert not made.missing


@pytest.mark.parametrize(
    ("only", "count"),
    [
        ("lifecycle", 3),
        ("hvqual.lifecycle.start", 3),
        ("lifecycle.start", 3),
        ("cloud.sla", 2),
        ("libvirt:hvqual.lifecycle.start:n_equal", 1),
    ],
)
def test_only_takes_a_category_an_id_its_beginning_or_a_key(only: str, count: int) -> None:
    cases = catalog()
    made = plan.make(LAB, cases, rows(cases), [only])
    assert len(made.cases) == count
    assert made.part, "a part run never qualifies"


def test_only_narrows_what_is_required_but_keeps_a_missing_row_that_it_names() -> None:
    cases = catalog()
    table = rows(cases)
    lost = {key: entry for key, entry in cases.items() if key.hv_id != "hvqual.lifecycle.start"}
    made = plan.make(LAB, lost, table, ["lifecycle"])
    assert not made.cases
    assert made.denominator == 3
    assert not plan.make(LAB, lost, table, ["cloud"]).missing


@pytest.mark.parametrize(("only", "near"), [("lifecycel", "lifecycle"), ("lifecycle.strat", "lifecycle.start")])
def test_an_unknown_only_is_refused_with_near_matches(only: str, near: str) -> None:
    cases = catalog()
    with pytest.raises(PlanError, match=near):
        plan.make(LAB, cases, rows(cases), [only])


def test_an_empty_catalog_is_refused() -> None:
    with pytest.raises(PlanError, match="avocado hvqual register"):
        plan.make(LAB, {}, [])


def test_the_profile_reaches_each_runnable() -> None:
    cases = catalog()
    made = plan.make(SMOKE, cases, rows(cases))
    touched = [e for e in cases.values() if e.runnable.kwargs["hv_profile"] == "smoke"]
    assert len(touched) == len(made.cases) == 4


def test_a_given_parameter_is_told_and_the_shipped_limit_stays_in_the_plan() -> None:
    cases = catalog()
    made = plan.make(LAB, cases, rows(cases), ["prep"], {"hv_limit_answer": "max <= 99 s", "hv_rounds": "3"})
    assert [(change.name, change.shipped, change.given) for change in made.changes] == [
        ("hv_limit_answer", "max <= 10 s", "max <= 99 s")
    ]
    assert made.cases[0].planned.limits == {"answer": "max <= 10 s"}
    assert made.cases[0].planned.params["hv_limit_answer"] == "max <= 99 s"


def test_a_given_parameter_wins_over_the_profiles_suffix() -> None:
    entry = case("libvirt:hvqual.prep.packages:none", Phase.PREPARATION, hv_rounds_lab="7")
    made = plan.make(LAB, {entry.planned.key: entry}, rows({entry.planned.key: entry}), (), {"hv_rounds": "9"})
    assert entry.runnable.kwargs["hv_rounds"] == entry.runnable.kwargs["hv_rounds_lab"] == "9"
    assert made.changes[0].shipped == "7"


def test_an_unknown_parameter_is_refused_with_a_near_match() -> None:
    cases = catalog()
    with pytest.raises(PlanError, match="hv_rounds"):
        plan.make(LAB, cases, rows(cases), (), {"hv_roundz": "1"})


def test_an_unknown_profile_is_refused_with_a_near_match() -> None:
    with pytest.raises(PlanError, match="'smoke'"):
        profiles.load("smok")


@pytest.mark.parametrize(
    ("line", "wrong", "said"),
    [
        ("part: true", "part: perhaps", ":5: 'perhaps' is not of type 'boolean'"),
        ("gate: record", "gate: open", "is not one of"),
        ("name: smoke", "name: smoke\nscale: 3", "scale"),
        ("accept: [SELECTION]", "accept: [INCOMPLETE]", "is not one of"),
        ("ids:\n", "ids: [\n", "no YAML"),
    ],
)
def test_a_wrong_profile_is_one_sentence_with_file_and_line(tmp_path: Path, line: str, wrong: str, said: str) -> None:
    text = (profiles.FOLDER / "smoke.yaml").read_text(encoding="utf-8")
    path = tmp_path / "smoke.yaml"
    path.write_text(text.replace(line, wrong), encoding="utf-8")
    with pytest.raises(DefinitionError) as caught:
        profiles.read(path)
    assert str(caught.value).startswith(f"{path}:")
    assert said in str(caught.value)


def test_the_lock_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    planned = [entry.planned for entry in catalog().values()]
    path = tmp_path / "required.lock.yaml"
    path.write_text(required.text(planned), encoding="utf-8")
    assert required.read(path) == required.rows_of(planned)
    assert not required.differences(planned, required.read(path))


def test_each_disagreement_of_cfgs_and_lock_is_told() -> None:
    cases = catalog()
    planned = [entry.planned for entry in cases.values()]
    table = required.rows_of(planned)
    assert "no case answers it" in required.differences(planned[1:], table)[0]
    assert "not in the lock" in required.differences(planned, required.rows_of(planned[1:]))[0]
    for name, value in (("observations", ("other",)), ("components", ("kvm",)), ("phase", Phase.PREPARATION)):
        other = [PlannedCase(**{**vars(planned[0]), name: value}), *planned[1:]]
        assert any(f": {name} is" in line or "not in the lock" in line for line in required.differences(other, table))


@pytest.mark.parametrize(
    "text", ["", "required: []", "required: [{}]", 'required:\n  - {"id": 3}\n', "required: 5", "{"]
)
def test_a_broken_lock_is_one_sentence_with_file_and_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "required.lock.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionError) as caught:
        required.read(path)
    assert str(caught.value).startswith(f"{path}:")


def test_a_doubled_row_of_the_lock_is_refused(tmp_path: Path) -> None:
    text = required.text([case(KEYS[0]).planned])
    path = tmp_path / "required.lock.yaml"
    path.write_text(text + text.splitlines()[-1] + "\n", encoding="utf-8")
    with pytest.raises(DefinitionError, match="twice"):
        required.read(path)


def test_a_row_that_no_case_answers_stays_in_the_lock() -> None:
    """A deleted cfg does not make a node need less; a use case that gets its first case is no longer open."""
    planned = [entry.planned for entry in catalog().values()]
    table = required.rows_of(planned)
    without = [one for one in planned if one.key != planned[0].key]
    kept = yaml.safe_load(required.text(without, table))["required"]
    assert planned[0].key.hv_id in {row["id"] for row in kept}
    open_row = RequiredRow(planned[0].key.hv_id, (planned[0].key.place, "patterns"), (), (), planned[0].phase)
    assert required.unanswered([open_row], planned)[0].configurations == ("patterns",)
    assert "has a case now" in required.differences(planned, [*table, open_row])[0]


def test_the_lock_holds_every_use_case_of_the_requirement() -> None:
    """173 ids, of which the judge itself answers the 8 of the gates; an id that nobody built yet is open, not absent."""
    ids = {row.id for row in required.read()}
    assert len(ids) == 173 - 8
    assert not [one for one in ids if one.startswith("hvqual.gate.")]


def test_the_shipped_lock_is_readable() -> None:
    assert required.read()
