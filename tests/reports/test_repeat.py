# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands to repeat a case: what was asked, and nothing that a shell would act on."""

import shlex

from avocado_hvqual.model.observation import Seed
from avocado_hvqual.model.record import ParameterChange
from avocado_hvqual.reports.repeat import commands
from tests.strategies import START, STOP, attempt, header, judged, record, trace

NAME = "hvqual.lifecycle.boot.witness.single_big"
LOGDIR = f"jobs/job-1/test-results/libvirt-4-type_specific.avocado-hvqual-generic.{NAME}"


def of(*attempts, **changes):
    found = judged(record(*attempts, **changes))
    return commands(found, found.results[0])


def test_ours_and_the_frameworks_own():
    assert of(attempt(logdir=LOGDIR)) == [
        f"avocado hvqual run --profile production --only {START}",
        f"avocado run --vt-type libvirt --vt-only-filter {NAME} --vt-extra-params hv_profile=production -- hvqual",
    ]


def test_a_test_whose_name_is_not_known_is_repeated_by_its_key():
    assert len(of(attempt(logdir="results/1"))) == 1


def test_the_seed_and_what_differed_from_the_profile():
    own = trace(seeds=(Seed("1", "the first"), Seed("12345", "the walk")))
    changes = (
        ParameterChange("hv_rounds", "3", "5"),
        ParameterChange("hv_hold", "9", "1", START),
        ParameterChange("hv_image", "x", "y", STOP),
    )
    ours, plain = of(attempt(trace=own, logdir=LOGDIR), parameters=changes, header=header(command="a hvqual run --lab"))
    assert ours.endswith("--lab --param hv_rounds=3 --param hv_hold=9 --param hv_seed=12345")
    assert plain.endswith("--vt-extra-params hv_hold=9 --vt-extra-params hv_seed=12345 -- hvqual")
    assert "hv_image" not in ours + plain


def test_a_shell_sees_words():
    hostile = "1; touch /tmp/x $(id) 'q"
    own = trace(seeds=(Seed(hostile, "x"),), profile="lab")
    for command in of(attempt(trace=own, logdir=LOGDIR)):
        assert f"hv_seed={hostile}" in shlex.split(command)
