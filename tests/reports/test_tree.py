# SPDX-License-Identifier: GPL-2.0-or-later
"""The tree: each case in one cell, none lost, none in two."""

import pytest

from avocado_hvqual.model.observation import Observation
from avocado_hvqual.model.record import HealthEvent
from avocado_hvqual.reports import REPORTS
from avocado_hvqual.reports.tree import start_of, tree
from tests.reports import busy
from tests.strategies import START, attempt, judged, record, row, trace

PREP = "libvirt:hvqual.prep.hw_virt:none"
MISSING = "libvirt:hvqual.lifecycle.stats:n_equal"


def cells(found):
    return [cell for category in found.categories for line in category.rows for cell in line.cells if cell]


def test_each_case_has_its_cell():
    found = busy.busy()
    assert sorted(cell.case for cell in cells(tree(found))) == sorted([*(one.case for one in found.results), MISSING])


def test_columns_are_the_host_configurations_in_use():
    assert tree(judged(record())).columns == ("single_big",)
    assert tree(judged(record(attempt(), attempt(PREP)))).columns == ("once", "single_big")
    assert tree(busy.busy()).columns == ("single_big", "n_equal", "patterns")


def test_twins_stand_below_their_use_case():
    lifecycle = tree(busy.busy()).categories[0]
    found = [(line.id, line.variant) for line in lifecycle.rows[:4]]
    start = "hvqual.lifecycle.start"
    assert found == [
        (start, ""),
        (start, "below libvirt (qemu), twin=boot"),
        (start, "twin=boot"),
        ("hvqual.lifecycle.shutdown", ""),
    ]


def test_a_required_case_that_is_not_there_is_no_empty_cell():
    (found,) = tree(judged(record(required=(row(START), row(MISSING))))).categories
    assert [cell.outcome for line in found.rows for cell in line.cells if cell] == ["passed", "missing"]
    assert dict(found.outcomes) == {"passed": 1, "missing": 1}


def test_a_required_case_of_any_backend_that_is_not_there_is_shown_too():
    found = tree(judged(record(required=(row(START), row(MISSING, vt_type="")))))
    assert [cell.case for cell in cells(found) if cell.outcome == "missing"] == [MISSING.replace("libvirt", "any")]


def warm(*values):
    seen = tuple(Observation("warm_guests", value, "count", 1.0) for value in values)
    (result,) = judged(record(attempt(trace=trace(observations=seen)))).results
    return start_of(result)


@pytest.mark.parametrize(("values", "said"), [((), ""), ((0,), "cold"), ((3,), "3 warm"), ((1, 2), "3 warm")])
def test_cold_or_warm(values, said):
    assert warm(*values) == said


def test_an_old_record_says_nothing_of_cold_and_warm():
    assert warm("text") == ""
    text = REPORTS["report.html"](judged(record()))
    assert "cold" not in text[text.index("</style>") :]


def test_a_pass_during_which_the_node_was_in_trouble_does_not_look_like_one_without():
    event = HealthEvent("host-lockup", "soft lockup", "kernel.log", START)
    (cell,) = cells(tree(judged(record(health=(event,)))))
    assert (cell.outcome, cell.findings) == ("passed with findings", 1)


def test_a_category_in_which_all_passed_is_folded_in_a_long_tree():
    keys = [f"libvirt:hvqual.cpu.case{number}:none" for number in range(45)]
    categories = tree(judged(record(*map(attempt, keys), attempt(START, "ERROR")))).categories
    assert [(one.name, one.is_open) for one in categories] == [("cpu", False), ("lifecycle", True)]


def test_every_cell_leads_to_its_case():
    text = REPORTS["report.html"](busy.busy())
    for cell in cells(tree(busy.busy())):
        wanted = "not-covered" if cell.outcome == "missing" else f"case-{cell.case}"
        assert f'href="#{wanted}"' in text
        assert f'id="{wanted}"' in text
