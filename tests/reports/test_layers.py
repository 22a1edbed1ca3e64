# SPDX-License-Identifier: GPL-2.0-or-later
"""Above or below libvirt: every combination of what a case and its twin came to."""

import json

import pytest

from avocado_hvqual.model.observation import Problem
from avocado_hvqual.model.record import HealthEvent
from avocado_hvqual.reports import REPORTS, layers, plain
from tests.strategies import START, attempt, judged, record, trace

TWIN = START.replace("libvirt", "qemu")
BOOT = ":twin=boot"
OTHER = TWIN.replace("single_big", "n_equal")


def tried(key, outcome, kind="guest-freeze"):
    if outcome == "passed":
        return attempt(key)
    if outcome == "not attempted":
        return attempt(key, "CANCEL", trace=trace(key, status="cancel"))
    message = f"It went wrong: {kind}."
    own = trace(key, status="fail", problems=(Problem(kind, message),))
    return attempt(key, "FAIL", fail_reason=message, trace=own)


def placed(*attempts, **changes):
    return layers.placements(judged(record(*attempts, **changes)))


@pytest.mark.parametrize(
    ("above", "below", "layer"),
    [
        ("failed", "passed", "above-qemu"),
        ("failed", "failed", "at-or-below-qemu"),
        ("failed", "not attempted", "not-placed"),
    ],
)
def test_what_fails_through_libvirt_is_placed_by_the_twin_below(above, below, layer):
    found = placed(tried(START, above), tried(TWIN, below))[START]
    assert (found.layer.value, found.twins) == (layer, (TWIN,))
    assert TWIN in found.sentence


def test_what_fails_below_only():
    found = placed(tried(START, "passed"), tried(TWIN, "failed"))
    assert list(found) == [TWIN]
    assert (found[TWIN].layer, found[TWIN].twins) == (layers.Layer.BELOW_ONLY, (START,))


def test_without_a_twin_nobody_can_say():
    assert placed(tried(START, "failed"))[START].layer is layers.Layer.NOT_PLACED


def test_another_use_case_is_no_twin():
    other = "qemu:hvqual.lifecycle.shutdown:single_big"
    assert placed(tried(START, "failed"), tried(other, "passed"))[START].layer is layers.Layer.NOT_PLACED


def test_what_passes_is_not_placed_at_all():
    assert placed(tried(START, "passed"), tried(TWIN, "passed")) == {}


def test_the_nearest_twin_speaks():
    both = (tried(TWIN + BOOT, "passed"), tried(OTHER, "failed"))
    assert placed(tried(START, "failed"), *both)[START].twins == (TWIN + BOOT,)
    assert placed(tried(START + BOOT, "failed"), tried(TWIN, "failed"), *both)[START + BOOT].twins == (TWIN + BOOT,)


@pytest.mark.parametrize(("fared", "said"), [("passed", "passed there"), ("failed", "failed there")])
def test_a_twin_of_another_configuration_places_nothing(fared, said):
    """What two VMs do beside each other says nothing sure of what one big one does: it is told, and no more."""
    placement = placed(tried(START, "failed"), tried(OTHER, fared))[START]
    assert placement.layer is layers.Layer.NOT_PLACED
    assert said in placement.sentence


def test_two_that_fail_in_different_ways_may_be_two_faults():
    found = placed(tried(START, "failed"), tried(TWIN, "failed", "operation-refused"))[START]
    assert "may be two faults" in found.sentence
    assert "may be two faults" not in placed(tried(START, "failed"), tried(TWIN, "failed"))[START].sentence


def test_every_report_says_it():
    found = judged(record(tried(START, "failed"), tried(TWIN, "passed")))
    said = "Above QEMU (libvirt or its configuration)"
    assert any(said in line.text for line in plain.lines(found))
    assert said in REPORTS["report.html"](found)
    (written,) = json.loads(REPORTS["verdict.json"](found))["fault_layers"]
    assert (written["case"], written["layer"], written["twins"]) == (START, "above-qemu", [TWIN])


def test_a_twin_says_nothing_of_the_node():
    event = HealthEvent("host-lockup", "soft lockup", "kernel.log", START)
    found = judged(record(tried(START, "failed"), tried(TWIN, "passed"), health=(event,)))
    said = {finding.kind.value: layers.of_finding(finding, layers.placements(found)) for finding in found.findings}
    assert said["host-lockup"] == ""
    assert said["guest-freeze"].startswith("Above QEMU")
