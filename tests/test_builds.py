# SPDX-License-Identifier: GPL-2.0-or-later
"""A campaign on several builds: what is stale, what another build fixed, and what no build ever does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.judging.builds import Builds
from avocado_hvqual.load import load_policy
from avocado_hvqual.model.finding import FindingKind
from avocado_hvqual.model.record import HealthEvent, Reboot
from avocado_hvqual.model.verdict import Verdict
from avocado_hvqual.policy_model import BuildRule
from tests.strategies import CLOUD, POLICY, START, STOP, attempt, judged, record, trace

OLD = {"kernel": "6.1-1", "qemu": "7.2", "qemu-build": "aaaa", "libvirt": "9.0"}
NEW = {**OLD, "qemu-build": "bbbb"}
UNKNOWN = {**OLD, "qemu-build": ""}
CAPPED = replace(POLICY, builds=BuildRule(stale="capped"))


def tried(status="PASS", build=0, key=START, **changes):
    return attempt(key, status, build=build, **changes)


def on(builds, *attempts, **changes):
    return record(*attempts, builds=tuple(builds), **changes)


def kinds(found):
    return [(one.kind.value, one.is_open) for one in found.findings]


def test_on_one_build_a_pass_never_makes_up_for_a_failure():
    for builds in ((), (OLD,), (OLD, OLD), (OLD, {**OLD, "avocado": "114"})):
        found = judged(on(builds, tried("FAIL"), tried(build=max(0, len(builds) - 1))))
        assert kinds(found) == [("wrong-result", True)], builds
        assert (found.verdict, found.results[0].outcome) == (Verdict.NOT_QUALIFIED, "failed")
        assert (found.findings[0].seen, found.findings[0].attempts) == (1, 2)


def test_a_failure_is_fixed_where_the_case_passes_on_another_build():
    found = judged(on((OLD, NEW), tried("FAIL"), tried(build=1)))
    assert kinds(found) == [("wrong-result", False)]
    assert found.findings[0].fixed == (
        "Fixed by a change of build: qemu-build 'aaaa' became 'bbbb'; there the case passed 1 of 1 try."
    )
    assert (found.verdict, found.reasons, found.results[0].outcome) == (Verdict.QUALIFIED, (), "passed")
    assert [(build.change, build.tries) for build in found.builds] == [
        ("", 1),
        ("qemu-build 'aaaa' became 'bbbb'", 1),
    ]


@pytest.mark.parametrize(
    ("attempts", "builds"),
    [
        # It failed there too, whichever way round.
        ([tried("FAIL"), tried("FAIL", 1), tried(build=1)], (OLD, NEW)),
        ([tried("FAIL"), tried(build=1), tried("FAIL", 1)], (OLD, NEW)),
        # It was not tried there.
        ([tried("FAIL")], (OLD, NEW)),
        ([tried("FAIL"), tried("ERROR", 1)], (OLD, NEW)),
        ([tried("FAIL"), attempt(START, None, build=1, trace=trace(status=None))], (OLD, NEW)),
        # The pass there lacks what it owes.
        ([tried("FAIL"), tried(build=1, trace=trace(values=()))], (OLD, NEW)),
        # The limit is broken there.
        ([tried("FAIL"), tried(build=1, trace=trace(values=(11.0,)))], (OLD, NEW)),
        # Nobody knows whether it is another build.
        ([tried("FAIL"), tried(build=1)], (OLD, UNKNOWN)),
        ([tried("FAIL"), tried(build=1)], (UNKNOWN, OLD)),
        # The node went back to the build that it failed on.
        ([tried("FAIL"), tried(build=1)], (OLD, NEW, OLD)),
        ([tried("FAIL"), tried(build=1), tried(build=2)], (OLD, NEW, OLD)),
        # The pass was before.
        ([tried(), tried("FAIL", 1)], (OLD, NEW)),
        # Another case's pass.
        ([tried("FAIL"), tried(build=1, key=STOP)], (OLD, NEW)),
    ],
)
def test_what_does_not_fix_a_failure(attempts, builds):
    found = judged(on(builds, *attempts))
    failures = [one for one in found.findings if one.kind is FindingKind.WRONG_RESULT]
    assert failures
    assert all(one.is_open for one in failures)
    assert found.verdict in {Verdict.NOT_QUALIFIED, Verdict.INCOMPLETE}


def test_what_fails_the_same_way_is_one_finding_over_builds():
    found = judged(on((OLD, NEW), tried("FAIL"), tried("FAIL", 1)))
    assert [(one.seen, one.attempts, one.is_open) for one in found.findings] == [(2, 2, True)]


def test_another_failure_there_leaves_the_first_one_open():
    other = tried("FAIL", 1, fail_reason="quite another thing")
    assert [one.is_open for one in judged(on((OLD, NEW), tried("FAIL"), other)).findings] == [True, True]


def test_a_result_of_an_earlier_build_is_no_result_of_this_one():
    found = judged(on((OLD, NEW), tried(), tried(key=STOP), tried(build=1)))
    assert [(one.kind.value, one.case) for one in found.findings] == [("stale-result", STOP)]
    assert (found.verdict, found.attempted, found.required) == (Verdict.INCOMPLETE, 1, 2)
    assert "1 result is of an earlier build than the last one that the campaign ran on." in found.reasons
    assert [bool(result.stale) for result in found.results] == [False, True]
    assert any("rerun DIR --stale" in step for step in found.next_steps)


def test_what_is_not_known_of_a_build_makes_results_stale_too():
    assert kinds(judged(on((OLD, UNKNOWN), tried()))) == [("stale-result", True)]


def test_nothing_is_stale_once_the_node_is_back_on_its_build():
    assert kinds(judged(on((OLD, NEW, OLD), tried()))) == []


def test_a_policy_may_let_stale_results_count_and_then_caps_the_verdict():
    found = judged(on((OLD, NEW), tried(), tried(key=STOP), tried(build=1)), policy=CAPPED)
    assert (found.verdict, found.findings, found.attempted) == (Verdict.QUALIFIED_WITH_WAIVERS, (), 2)
    assert found.reasons == ("1 result is of an earlier build than the last one that the campaign ran on.",)


def test_so_many_passes_as_the_policy_asks_for():
    twice = replace(POLICY, builds=BuildRule(passes=2))
    one, two = [tried("FAIL"), tried(build=1)], [tried("FAIL"), tried(build=1), tried(build=1)]
    assert kinds(judged(on((OLD, NEW), *one), policy=twice)) == [("wrong-result", True)]
    assert kinds(judged(on((OLD, NEW), *two), policy=twice)) == [("wrong-result", False)]


def test_the_policy_says_what_makes_a_build():
    kernel_alone = replace(POLICY, builds=BuildRule(identity=("kernel",)))
    assert kinds(judged(on((OLD, NEW), tried("FAIL"), tried(build=1)), policy=kernel_alone)) == [("wrong-result", True)]


def panic(case=START, build=0):
    return HealthEvent("host-panic", "Kernel panic - not syncing", "kernel.log", case, build=build)


def test_a_panic_of_the_old_kernel_is_fixed_by_a_pass_on_the_new_one():
    found = judged(on((OLD, NEW), tried(), tried(build=1), health=(panic(),)))
    assert (kinds(found), found.verdict) == ([("host-panic", False)], Verdict.QUALIFIED)


@pytest.mark.parametrize(
    ("attempts", "health", "builds"),
    [
        ([tried(), tried(build=1)], [panic(), panic(build=1)], (OLD, NEW)),
        ([tried(), tried("FAIL", 1)], [panic()], (OLD, NEW)),
        ([tried()], [panic()], (OLD, NEW)),
        ([tried(), tried(build=1)], [panic()], (OLD, UNKNOWN)),
        ([tried(), tried()], [panic()], (OLD, OLD)),
        ([tried(), tried(build=1), tried(key=STOP)], [panic("")], (OLD, NEW)),
    ],
)
def test_what_does_not_fix_a_panic(attempts, health, builds):
    found = judged(on(builds, *attempts, health=tuple(health)))
    assert all(one.is_open for one in found.findings if one.kind is FindingKind.HOST_PANIC and not one.fixed)
    assert any(one.is_open for one in found.findings if one.kind is FindingKind.HOST_PANIC)


def test_what_befell_the_node_between_cases_is_fixed_by_the_whole_campaign_on_another_build():
    attempts = [tried(), tried(key=STOP), tried(build=1), tried(build=1, key=STOP)]
    found = judged(on((OLD, NEW), *attempts, reboots=(Reboot("", "booted anew"),), health=(panic(""),)))
    assert kinds(found) == [("host-reboot", False), ("host-panic", False)]


def test_the_cloud_phase_is_fixed_the_same_way():
    """The requirement's 6.3: found, fixed, patched, tried again, until nothing is open."""
    found = judged(on((OLD, NEW), tried("FAIL", key=CLOUD), tried(build=1, key=CLOUD)))
    assert (kinds(found), found.verdict) == ([("wrong-result", False)], Verdict.QUALIFIED)


def test_leftovers_of_the_campaign_are_nobodys_fix():
    found = judged(on((OLD, NEW), tried(), tried(build=1), leftovers=(("", "links: +virbr9"),)))
    assert kinds(found) == [("leftover", True)]


def test_a_policy_with_a_wrong_rule_is_refused(tmp_path):
    from avocado_hvqual.load import POLICY as SHIPPED

    text = SHIPPED.read_text(encoding="utf-8")
    for wrong in ("stale: sometimes", "passes: 0", "identity: []"):
        name = wrong.split(":")[0]
        lines = [f"  {wrong}" if line.startswith(f"  {name}:") else line for line in text.splitlines()]
        path = tmp_path / "policy.yaml"
        path.write_text("\n".join(lines), encoding="utf-8")
        with pytest.raises(DefinitionError, match=rf"policy\.yaml:\d+: 'builds\.{name}"):
            load_policy(path)
    assert load_policy().builds == BuildRule()


builds = st.lists(st.sampled_from([OLD, NEW, UNKNOWN]), min_size=1, max_size=4)
statuses = st.sampled_from(["PASS", "FAIL", "ERROR", None])


@st.composite
def campaigns(draw):
    versions = draw(builds)
    tries = draw(st.lists(st.tuples(statuses, st.integers(0, len(versions) - 1)), min_size=1, max_size=5))
    ordered = sorted(tries, key=lambda one: one[1])
    return on(versions, *(tried(status, build) for status, build in ordered))


@given(campaigns())
def test_laws(campaign):
    found = judged(campaign)
    rule = Builds.of(campaign, POLICY.builds)
    last_build = [one for one in campaign.attempts if rule.same(one.build, rule.last)]
    if found.verdict is Verdict.QUALIFIED:
        assert any(one.status == "PASS" for one in last_build), "shown on the last build"
        assert not any(one.status == "FAIL" for one in last_build), "and never failed on it"
    for finding in found.findings:
        if finding.fixed:
            failed = {one.build for one in campaign.attempts if one.status == "FAIL"}
            passed = {one.build for one in campaign.attempts if one.status == "PASS"}
            assert any(rule.differ(bad, good) for bad in failed for good in passed)
            assert finding.kind is FindingKind.WRONG_RESULT
    alone = judged(replace(campaign, builds=(OLD,) * len(campaign.builds)))
    assert alone.verdict is not Verdict.QUALIFIED or not any(one.status == "FAIL" for one in campaign.attempts)


@given(campaigns())
def test_a_further_failure_never_improves_a_verdict(campaign):
    worse = replace(campaign, attempts=(*campaign.attempts, tried("FAIL", len(campaign.builds) - 1)))
    assert judged(worse).verdict in {Verdict.NOT_QUALIFIED, Verdict.INCOMPLETE}
