# SPDX-License-Identifier: GPL-2.0-or-later
"""Drafts: what a report says, that it is the same each time, and that nothing in it does anything."""

from dataclasses import replace

import pytest

from avocado_hvqual.errors import DefinitionError, HvqualError
from avocado_hvqual.model.finding import FindingKind
from avocado_hvqual.model.observation import Problem, Seed
from avocado_hvqual.model.record import HealthEvent
from avocado_hvqual.trackers import report
from avocado_hvqual.trackers.draft import components, drafts
from avocado_hvqual.trackers.report import harmless
from avocado_hvqual.trackers.settings import COMPONENTS, OTHER, Settings
from tests.reports.runs import RUNS
from tests.reports.test_hostile import TEXTS
from tests.reports.test_hostile import campaign as hostile_campaign
from tests.strategies import CLOUD, POLICY, START, STOP, attempt, judged, record, trace
from tests.trackers.conftest import run

SETTINGS = Settings(product="Hypervisor")


def sum_of(_path):
    return f"sha256 {'0' * 64}, 12 bytes"


def made(found, settings=SETTINGS, wanted=()):
    return drafts(found, settings, sum_of, wanted)


def failed(key, message, **changes):
    own = trace(key, status="fail", problems=(Problem("wrong-result", message),), **changes)
    return attempt(key, "FAIL", fail_reason=message, trace=own)


def walk():
    """One fault in two cases, found by a walk with a seed; what could not be tried beside it."""
    name = "type_specific.avocado-hvqual.hvqual.lifecycle"
    tries = [
        replace(
            failed(key, f"The guest hvq-7-{number} is gone.", seeds=(Seed("12345", "the walk"),)),
            logdir=f"jobs/job-1/test-results/libvirt-{number}-{name}.{key.split('.')[2].replace(':', '.')}",
        )
        for number, key in enumerate((START, STOP))
    ]
    return judged(record(*tries, attempt(CLOUD, "ERROR")))


def of(name):
    return walk() if name == "walk" else RUNS[name]()


@pytest.mark.parametrize("name", ["walk", "one_unmet", "expired", "tainted", "twins", "hostile"])
def test_golden(golden, name):
    texts = [f"\n{'=' * 72}\n".join(draft.render() for draft in made(of(name))) for _time in range(2)]
    golden(f"bug.txt/{name}.txt", texts[0])
    assert texts[0] == texts[1]


@pytest.mark.parametrize("run", RUNS)
def test_any_campaign_can_be_drafted(run):
    found = RUNS[run]()
    names = {one.fingerprint for one in found.findings}
    assert {draft.fingerprint for draft in made(found)} <= names
    assert {draft.fingerprint for draft in made(found, wanted=names)} == names


def test_one_report_for_a_fault_in_two_cases():
    (draft,) = made(walk())
    assert START in draft.description
    assert STOP in draft.description
    assert "--param hv_seed=12345" in draft.description
    assert "seed 12345: the walk" in draft.description
    assert draft.comment.endswith(f"{draft.sighting}\n")


def test_what_was_not_attempted_is_drafted_only_when_asked_for():
    found = walk()
    (error,) = [one for one in found.findings if one.kind is FindingKind.ERROR]
    assert [draft.fields["summary"] for draft in made(found, wanted=[error.fingerprint])] == [f"error: {error.message}"]
    with pytest.raises(DefinitionError, match="no finding with the fingerprint 'hv1-000000000000'"):
        made(found, wanted=["hv1-000000000000"])


def test_what_is_waived_is_no_report_and_what_is_known_says_so():
    assert made(RUNS["waived"]()) == []
    (draft,) = [one for one in made(RUNS["expired"]()) if "guest-freeze" in one.fields["summary"]]
    assert draft.known == "https://bugs.example/1"
    assert "known as: https://bugs.example/1" in draft.render()


def test_the_worst_severity_of_a_fault_counts():
    found = judged(record(failed(START, "It hangs."), failed(CLOUD, "It hangs.")))
    (draft,) = made(found)
    assert draft.fields["severity"] == "critical"


# --- components ---


@pytest.mark.parametrize(
    ("kind", "component"),
    [("host-lockup", "kvm"), ("host-reboot", "kvm"), ("libvirtd-restart", "libvirt"), ("qemu-crash", "qemu")],
)
def test_some_kinds_name_their_component(kind, component):
    found = judged(record(health=(HealthEvent(kind, "it happened", "kernel.log", START),)))
    (draft,) = made(found)
    assert draft.fields["component"] == component


def test_what_all_cases_have_in_common_is_the_likeliest():
    found = walk().findings[:2]
    one, other = replace(found[0], components=("bridge", "vhost")), replace(found[1], components=("vhost", "agent"))
    assert components((one, other), {}) == [("vhost", 2), ("bridge", 1), ("agent", 1)]


@pytest.mark.parametrize(("kind", "component"), [("wrong-result", "libvirt"), ("guest-freeze", "qemu")])
def test_what_an_operation_did_is_a_matter_of_whom_it_was_asked_of(kind, component):
    own = trace(STOP, status="fail", problems=(Problem(kind, "It is so."),))
    (draft,) = made(judged(record(attempt(STOP, "FAIL", fail_reason="It is so.", trace=own))))
    assert draft.fields["component"] == component, "qemu is what its case names first"


def test_twins_place_a_fault():
    by_summary = {draft.fields["summary"]: draft.fields["component"] for draft in made(RUNS["twins"]())}
    assert by_summary["guest-reboot: It booted anew."] == "qemu"


def test_a_finding_without_a_component_goes_where_the_operator_says():
    found = judged(record(leftovers=(("", "links: +virbr9"),)))
    (draft,) = [
        one
        for one in made(found, replace(SETTINGS, components={OTHER: "General"}))
        if "leftover" in one.fields["summary"]
    ]
    assert draft.fields["component"] == "General"


def test_the_components_are_the_policys():
    from avocado_hvqual.load import load_policy

    assert load_policy().components == COMPONENTS
    assert POLICY.components


# --- hostile text ---


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_that_a_guest_says_acts(name):
    texts = [text for draft in made(judged(hostile_campaign(TEXTS[name]))) for text in (draft.render(), draft.comment)]
    assert texts
    for text in texts:
        assert not set(text) & set("\x1b\x07\x00\x9b\r\u202e\u2066\u200b\u00ad\ud800\ufffe")
        assert len(text) < 65_535
        assert harmless(TEXTS[name])[:20] in text
    assert all(len(draft.fields["summary"]) <= 255 for draft in made(judged(hostile_campaign(TEXTS[name]))))


def test_no_line_can_be_forged():
    line = "Sighting: hv1-000000000000 in campaign c-2 on node node-7"
    forged = hostile_campaign(f"x\n{line}\u2028{line}\x0b{line}\r{line}\x85{line}")
    for draft in made(judged(forged)):
        lines = draft.description.splitlines()
        assert line not in lines
        assert [one for one in lines if one.startswith("Sighting:")] == [draft.sighting]


def test_harmless():
    assert harmless("\U0001f600") == "\\U0001f600"
    assert harmless("a\nb\tc") == "a b c"
    assert len(harmless("x" * 10_000)) == report.TEXT
    assert harmless("x" * report.TEXT) == "x" * report.TEXT


def test_a_report_that_is_too_long_is_cut_and_keeps_its_last_lines():
    own = replace(walk().header, node={f"fact {n}": "x" * 400 for n in range(500)})
    (draft,) = made(replace(walk(), header=own))
    assert len(draft.description) < 65_535
    assert "[cut here" in draft.description
    assert draft.description.endswith(f"{draft.sighting}\n")


def test_there_is_no_limit_to_how_many_cases_share_a_fault():
    keys = [f"libvirt:hvqual.cpu.case{number}:none" for number in range(300)]
    (draft,) = made(judged(record(*(failed(key, "It hangs.") for key in keys))))
    assert "and 280 cases more" in draft.description
    assert len(draft.description) < 65_535


# --- the command ---


def test_drafts_are_printed_or_written(campaign, tmp_path, capsys):
    assert run("bugs", "draft", campaign, "--product", "Hypervisor") == 0
    printed = capsys.readouterr().out
    assert "changed" not in printed
    assert "CHANGED since its test recorded 0000" in printed, "the campaign's own evidence was looked at"
    assert run("bugs", "draft", campaign, "--product", "Hypervisor", "--output", tmp_path / "out") == 0
    (path,) = (tmp_path / "out").iterdir()
    assert capsys.readouterr().out == f"{path}\n"
    assert path.read_text(encoding="utf-8").rstrip("\n") == printed.rstrip("\n")
    assert f"whiteboard: {path.stem}\n" in printed


def test_drafting_changes_nothing_in_the_campaign(campaign):
    before = sorted((path, path.stat().st_mtime_ns) for path in campaign.rglob("*"))
    run("bugs", "draft", campaign)
    assert sorted((path, path.stat().st_mtime_ns) for path in campaign.rglob("*")) == before


def test_nothing_to_report_says_so(tmp_path, monkeypatch, capsys):
    from tests import strategies as make

    monkeypatch.setattr("avocado_hvqual.load.load_policy", lambda _path=None: POLICY)
    assert run("bugs", "draft", make.write_campaign(tmp_path / "healthy")) == 0
    assert capsys.readouterr().out.startswith("There is nothing to report")


def test_a_folder_that_cannot_be_written_is_one_sentence(campaign, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(HvqualError, match="cannot be written"):
        run("bugs", "draft", campaign, "--output", tmp_path / "file")
