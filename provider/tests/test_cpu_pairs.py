# SPDX-License-Identifier: GPL-2.0-or-later
"""Which operations stand between two of hotplug, and walks that must have certain operations in them."""

import pytest
from avocado.core.exceptions import TestError

from provider.hvqual import walks
from provider.hvqual.cpu_pairs import covered, pairs
from provider.hvqual.operations.followed import UP
from provider.hvqual.operations.table import CPU, LIFECYCLE, PLUGGED
from provider.hvqual.record import Record


def test_an_operation_and_what_undoes_it_are_one():
    assert pairs("plug suspend resume unplug save_restore plug") == {
        ("plug", "suspend", "unplug"),
        ("unplug", "save_restore", "plug"),
    }


@pytest.mark.parametrize("text", ["save_restore plug", "plug save_restore", "plug suspend resume save_restore plug"])
def test_hotplug_on_one_side_is_no_pair(text):
    assert pairs(text) == frozenset()


def test_a_sequence_without_one_of_those_asked_for_is_an_error(tmp_path):
    record = Record(tmp_path)
    covered("plug save_restore plug", ["save_restore"], record)
    assert record.samples["hotplug_pairs"] == [(1, "count")]
    with pytest.raises(TestError, match="does not have destroy"):
        covered("plug save_restore plug", ["save_restore", "destroy"], record)


def test_what_was_plugged_is_gone_when_the_guest_is_off():
    model = CPU["plug"].effect(UP)
    assert model.live == {PLUGGED: 1}
    assert CPU["unplug"].allowed(model)
    assert not CPU["unplug"].allowed(UP)
    assert not CPU["plug"].allowed(LIFECYCLE["suspend"].effect(model))
    saved = LIFECYCLE["start_saved"].effect(LIFECYCLE["managed_save"].effect(model))
    assert saved.live == {PLUGGED: 1}
    assert LIFECYCLE["destroy"].effect(model).live == {}


def test_a_walk_has_what_must_be_in_it_and_is_the_same_again():
    table = {**LIFECYCLE, **CPU}
    chosen = walks.Walks(None, table, 0, model=UP)._chosen
    names = chosen("seed/1", 6, ("plug", "unplug"))
    assert {"plug", "unplug"} <= set(names)
    assert names == chosen("seed/1", 6, ("plug", "unplug"))


def test_a_walk_that_cannot_have_it_is_an_error(monkeypatch):
    monkeypatch.setattr(walks, "TURNS", 5)
    with pytest.raises(TestError, match="Raise hv_steps"):
        walks.Walks(None, LIFECYCLE, 0, model=UP)._chosen("seed", 2, ("plug",))
