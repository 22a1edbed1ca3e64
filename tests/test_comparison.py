# SPDX-License-Identifier: GPL-2.0-or-later
"""Two campaigns beside each other: what is called fixed was tried again, and what is called slower has the samples."""

import argparse
import json
from dataclasses import replace

import jsonschema
import pytest
from hypothesis import given, settings

from avocado_hvqual import load
from avocado_hvqual.comparison import compare
from avocado_hvqual.ledger import Entry, Ledger
from avocado_hvqual.model.observation import Observation, Problem
from avocado_hvqual.model.record import HealthEvent
from avocado_hvqual.policy_model import Slower
from avocado_hvqual.reports import diff
from tests import strategies as make
from tests.reports.runs import HOSTILE
from tests.strategies import CLOUD, START, STOP, TODAY, attempt, judged, record, trace

BY = Slower(1.25, 5)
VALIDATOR = jsonschema.Draft7Validator(load.schema("diff"))


def wrong(key=START, message="VM hvq-1-a is paused after 3 s", kind="wrong-result"):
    return attempt(
        key, "FAIL", fail_reason=message, trace=trace(key, status="fail", problems=(Problem(kind, message),))
    )


def both(before, after, by=BY, **more):
    return compare(judged(before, **more), judged(after, **more), by)


def names(faults):
    return [(one.kind, one.before, one.after) for one in faults]


def test_what_only_the_second_has_is_new():
    found = both(record(attempt()), record(wrong()))
    assert names(found.new) == [("wrong-result", (), (START,))]
    assert (found.fixed, found.still, found.is_worse) == ((), (), True)


def test_the_same_fault_with_other_numbers_is_still_open():
    found = both(record(wrong()), record(wrong(STOP, "VM hvq-9-b is paused after 7.25 s"), attempt()))
    assert names(found.still) == [("wrong-result", (START,), (STOP,))]
    assert (found.new, found.fixed, found.not_seen) == ((), (), ())


def test_what_was_tried_again_and_not_seen_is_fixed():
    found = both(record(wrong()), record(attempt()))
    assert names(found.fixed) == [("wrong-result", (START,), ())]
    assert not found.is_worse


@pytest.mark.parametrize(
    "after",
    [
        record(attempt(STOP)),
        record(attempt(status="ERROR")),
        record(attempt(status="CANCEL")),
        record(cases=[START], attempts=()),
        record(attempt(), known=frozenset()),
    ],
)
def test_what_was_not_tried_again_is_never_called_fixed(after):
    found = both(record(wrong(), wrong(STOP)), after)
    assert found.fixed == ()
    assert [one.unproven for one in found.not_seen]
    assert START in found.not_seen[0].unproven or START in found.newly_attempted + tuple(after.known)


def test_one_of_two_cases_tried_again_proves_nothing():
    found = both(record(wrong(), wrong(STOP)), record(attempt()))
    assert [one.unproven for one in found.not_seen] == [(STOP,)]


def test_what_befell_the_campaign_is_fixed_by_a_whole_one_alone():
    event = HealthEvent("host-log", "oom")
    before = record(attempt(), health=(event,))
    assert names(both(before, record(attempt())).fixed) == [("host-log", ("",), ())]
    assert names(both(before, record(attempt(), ended="")).not_seen) == [("host-log", ("",), ())]


def test_a_waiver_fixes_nothing():
    entry = Entry("K", "b", "o", pattern="paused", waiver_reason="r", waiver_expires=TODAY)
    found = both(record(wrong()), record(wrong()), ledger=Ledger((entry,)))
    assert [one.waived for one in found.still] == [True]


def test_attempted_and_not():
    found = both(
        record(attempt(), attempt(STOP, "ERROR")), record(attempt(status="CANCEL"), attempt(STOP), attempt(CLOUD))
    )
    assert (found.newly_attempted, found.no_longer_attempted) == ((CLOUD, STOP), (START,))
    assert found.new == ()


def timed(*values, unit="s", name="guest_ready", label=""):
    seen = tuple(Observation(name, value, unit, 1.0, label=label) for value in values)
    return record(attempt(trace=trace(observations=seen)))


@pytest.mark.parametrize(
    ("before", "after", "slower", "faster"),
    [
        ([2.0] * 5, [2.5] * 5, 1, 0),
        ([2.0] * 5, [2.49] * 5, 0, 0),
        ([2.0] * 4, [9.0] * 9, 0, 0),
        ([2.0] * 9, [9.0] * 4, 0, 0),
        ([2.5] * 5, [2.0] * 5, 0, 1),
        ([2.0] * 5, [2.0, 2.0, 2.0, 9.0, 9.0], 0, 0),
        ([0.0] * 5, [9.0] * 5, 0, 0),
        ([True] * 5, [9.0] * 5, 0, 0),
        (["slow"] * 5, [9.0] * 5, 0, 0),
    ],
)
def test_slower_is_a_ratio_of_medians_over_enough_samples(before, after, slower, faster):
    found = both(timed(*before), timed(*after))
    assert (len(found.slower), len(found.faster)) == (slower, faster)
    assert found.is_worse is bool(slower)


def test_of_a_rate_less_is_slower_and_of_a_count_nothing_is():
    rate = both(timed(*[100.0] * 5, unit="MiB/s"), timed(*[50.0] * 5, unit="MiB/s"))
    assert [one.ratio for one in rate.slower] == [2.0]
    count = both(timed(*[1.0] * 5, unit="count"), timed(*[9.0] * 5, unit="count"))
    assert (count.slower, count.paced) == ((), 0)


def test_only_like_is_compared_with_like():
    assert both(timed(*[1.0] * 5), timed(*[9.0] * 5, unit="ms")).paced == 0
    assert both(timed(*[1.0] * 5, label="small"), timed(*[9.0] * 5, label="big")).paced == 0


def test_across_nodes():
    other = replace(
        record(wrong()), header=make.header(node={"id": "node-8"}, versions={"qemu": "8.0", "libvirt": "9.0.0"})
    )
    found = both(record(wrong()), other)
    assert len(found.still) == 1
    text = diff.render(found)
    assert "on node-8" in text
    assert "qemu: 7.2.22 -> 8.0" in text
    assert "libvirt: 9" not in text


@given(make.records(), make.records())
@settings(max_examples=40, deadline=None)
def test_each_fault_stands_in_one_list_and_the_json_fits(before, after):
    found = both(before, after)
    lists = (found.new, found.fixed, found.not_seen, found.still)
    fingerprints = [one.fingerprint for faults in lists for one in faults]
    assert len(fingerprints) == len(set(fingerprints))
    document = json.loads(diff.render_json(found))
    VALIDATOR.validate(document)
    assert not VALIDATOR.is_valid({**document, "more": 1})
    assert diff.render(found)


@given(make.records())
@settings(max_examples=30, deadline=None)
def test_a_campaign_beside_itself_is_not_worse(one):
    found = both(one, one)
    assert not found.is_worse
    assert (found.new, found.fixed, found.not_seen, found.faster) == ((), (), (), ())


def test_a_guests_name_moves_no_cursor():
    text = diff.render(both(record(attempt()), record(wrong(message=HOSTILE))))
    assert "\x1b" not in text
    assert "\u202e" not in text


def run(*words):
    parser = argparse.ArgumentParser()
    diff.add_parser(parser.add_subparsers(dest="verb", required=True))
    return diff.run(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "load_policy", lambda _path=None: make.POLICY)
    one, two = (make.write_campaign(tmp_path / name) for name in ("one", "two"))
    for folder, value in ((one, 2.0), (two, 3.0)):
        make.write_trace(folder / "job/test-results/1-start", trace(values=(value,) * 5))
    return one, two


def test_the_verb(folders, capsys, golden):
    one, two = folders
    assert run("diff", one, one) == 0
    assert "Nothing is worse" in capsys.readouterr().out
    assert run("diff", one, two) == 1
    golden("diff/slower.txt", capsys.readouterr().out)
    assert run("diff", one, two, "--ratio", "1.6") == 0
    assert run("diff", one, two, "--samples", "6") == 0
    assert run("diff", two, one, "--json") == 0
    capsys.readouterr()
    assert run("diff", one, two, "--json") == 1
    text = capsys.readouterr().out
    VALIDATOR.validate(json.loads(text))
    golden("diff/slower.json", text)


@pytest.mark.parametrize(
    "words", [("--ratio", "1"), ("--ratio", "nan"), ("--ratio", "x"), ("--samples", "1"), ("--samples", "-3")]
)
def test_wrong_thresholds_are_usage(folders, words):
    with pytest.raises(SystemExit) as caught:
        run("diff", *folders, *words)
    assert caught.value.code == 2
