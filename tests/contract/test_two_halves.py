# SPDX-License-Identifier: GPL-2.0-or-later
"""The two halves meet in a file format: what the provider writes the judge reads, and both mean the same by a limit."""

import ast
import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avocado_hvqual import criteria, limits, load, observations
from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.model.finding import FindingKind
from avocado_hvqual.model.observation import Observation
from provider.hvqual import limit as theirs
from provider.hvqual.record import Record

KEY = "libvirt:hvqual.lifecycle.start:single_big"


@pytest.fixture
def written(tmp_path):
    record = Record(tmp_path)
    given = {"params": {"hv_rounds": "20"}, "scale": {"hv_rounds": ["3", "20"]}}
    record.begin(KEY, "hvqual.lifecycle.start", "smoke", given=given)
    record.append("node_state", when="before", digest="aa")
    with record.step("start"):
        record.observe("guest_ready", 2.5, "s", "hvq-1")
        record.observe("canary", True, "bool")
        record.observe("kernel", "6.1", "text")
    record.criterion("guest_ready", theirs.Limit.parse("max <= 10 s"))
    record.evidence("console of vm1.log", "hello", "what it said")
    record.capability("vhost_net", "no /dev/vhost-net", ok=False)
    for kind in FindingKind:
        record.problem(kind.value, "seen", "hvq-1")
    record.append("node_state", when="after", digest="aa", differences=["links: +virbr9"])
    record.end("fail", "it failed")
    return tmp_path / observations.FILE


def test_what_the_provider_writes_is_read(written):
    trace = observations.read(written, "job/1")
    assert (trace.case, trace.status, trace.message, trace.torn) == (KEY, "fail", "it failed", False)
    assert [(one.name, one.value, one.unit, one.vm) for one in trace.observations] == [
        ("guest_ready", 2.5, "s", "hvq-1"),
        ("canary", True, "bool", None),
        ("kernel", "6.1", "text", None),
    ]
    assert trace.criteria == (("guest_ready", "max <= 10 s", "met"),)
    assert trace.evidence[0].path == "job/1/evidence/console of vm1.log"
    assert len(trace.problems) == len(FindingKind)
    assert trace.differences == ("links: +virbr9",)
    assert trace.scale == {"hv_rounds": ["3", "20"]}


def test_what_the_provider_writes_fits_the_published_schema(written):
    validator = jsonschema.Draft7Validator(load.schema("observations"))
    for line in written.read_text(encoding="utf-8").splitlines():
        validator.validate(json.loads(line))


texts = st.builds(
    "{} {} {} s over {}".format,
    st.sampled_from(limits.STATISTICS),
    st.sampled_from(sorted(limits.COMPARATORS)),
    st.integers(-3, 3),
    st.integers(1, 3),
)
values = st.lists(
    st.one_of(st.integers(-3, 3).map(float), st.booleans(), st.just(float("nan")), st.just("x")), max_size=5
)


@given(texts, values, st.sampled_from(["s", "ms"]))
def test_both_halves_give_the_same_answer(text, seen, unit):
    ours = criteria.ask("x", limits.Limit.parse(text), [Observation("x", value, unit, 0.0) for value in seen])
    assert ours.answer.value == theirs.Limit.parse(text).answer([(value, unit) for value in seen])


@pytest.mark.parametrize(
    "text", ["max 10 s", "most <= 1 s", "max <= nan s", "max <= x s", "max <= 1 s over", "", "max <= 1 s # no"]
)
def test_both_halves_refuse_the_same(text):
    with pytest.raises(DefinitionError):
        limits.Limit.parse(text)
    with pytest.raises(ValueError):  # noqa: PT011 - the provider's own
        theirs.Limit.parse(text)


def test_both_halves_know_the_same_statistics():
    assert {*theirs.STATISTICS, "all"} == set(limits.STATISTICS)
    assert set(theirs.COMPARATORS) == set(limits.COMPARATORS)


def _kinds_named(tree: ast.AST) -> set[str]:
    """The kinds in record.problem(<kind>, ...) and fail(record, <kind>, ...)."""
    named = set()
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        place = {"problem": 0, "fail": 1}.get(name)
        if place is not None and len(call.args) > place and isinstance(call.args[place], ast.Constant):
            named.add(call.args[place].value)
    return named


def test_every_kind_of_problem_that_the_provider_names_is_one():
    """A kind that the judge does not know would make the whole file unreadable."""
    root = Path(__file__).resolve().parents[2]
    found = set()
    for tree in ("provider/hvqual", "generic", "libvirt", "qemu"):
        for path in (root / tree).rglob("*.py"):
            found |= _kinds_named(ast.parse(path.read_text(encoding="utf-8")))
    assert "leftover" in found
    assert found <= FindingKind.values()


def test_every_shipped_limit_is_one_for_both():
    root = Path(__file__).resolve().parents[2]
    shipped = set()
    for tree in ("provider/cfg", "generic", "libvirt", "qemu"):
        for path in (root / tree).rglob("*.cfg"):
            for line in path.read_text(encoding="utf-8").splitlines():
                name, _, text = line.strip().partition(" = ")
                if name.startswith("hv_limit_"):
                    shipped.add(text)
    assert shipped
    for text in shipped:
        ours, other = limits.Limit.parse(text), theirs.Limit.parse(text)
        assert (ours.statistic, ours.comparator, ours.number, ours.unit, ours.over) == (
            other.statistic,
            other.comparator,
            other.number,
            other.unit,
            other.over,
        )
