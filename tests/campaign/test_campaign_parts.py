# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of a campaign that need no job: folder, gate, progress, durations, processes, bad input."""

from __future__ import annotations

import argparse
import datetime as dt
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from avocado_hvqual import wait
from avocado_hvqual.campaign import cleaning, cli, folder, gate, host_watch, processes, scratch
from avocado_hvqual.campaign.durations import DEFAULT_SECONDS, Durations
from avocado_hvqual.campaign.journal import Journal, read
from avocado_hvqual.campaign.progress import Progress, clock
from avocado_hvqual.errors import HvqualError, PlanError
from avocado_hvqual.model.case import Phase
from avocado_hvqual.model.finding import Finding, FindingKind, Severity

NOW = dt.datetime(2026, 11, 21, 4, 15, tzinfo=dt.timezone.utc)
HEADER = {
    "id": "c1",
    "profile": "smoke",
    "selection": True,
    "lab": True,
    "node": {"id": "n", "hostname": "n"},
    "command": "x",
    "versions": {},
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(folder.HOME_VARIABLE, str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_campaign_ids_sort_by_time_and_differ() -> None:
    first, second = folder.new_id(NOW, "smoke"), folder.new_id(NOW + dt.timedelta(seconds=1), "lab")
    assert first.startswith("20261121-041500-smoke-")
    assert first < second
    assert folder.new_id(NOW, "smoke") != first


def test_a_new_or_an_empty_folder_is_taken_and_marked(tmp_path: Path) -> None:
    made = folder.create(tmp_path / "deep" / "new", "c1")
    assert (made.path / folder.MARKER).read_text(encoding="utf-8") == "c1\n"
    (tmp_path / "empty").mkdir()
    assert folder.create(tmp_path / "empty", "c2").jobs.is_dir()


def test_a_folder_with_another_campaign_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    made = folder.create(tmp_path / "one", "c1")
    Journal.create(made.path, HEADER).close()
    before = sorted(made.path.rglob("*"))
    with pytest.raises(PlanError, match="already holds a campaign"):
        folder.create(tmp_path / "one", "c2")
    assert sorted(made.path.rglob("*")) == before
    assert (made.path / folder.MARKER).read_text(encoding="utf-8") == "c1\n"


def test_a_folder_with_anything_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious", encoding="utf-8")
    with pytest.raises(PlanError, match="not empty"):
        folder.create(tmp_path, "c1")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PlanError, match="cannot be made: Not a directory"):
        folder.create(tmp_path / "file" / "below", "c1")


def test_no_space_is_told_before_anything_runs_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder.shutil, "disk_usage", lambda _path: SimpleNamespace(free=5 * 2**20))
    with pytest.raises(PlanError, match="has 5 MiB free, a campaign needs 256 MiB"):
        folder.create(tmp_path / "new", "c1")
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_disk_that_is_really_small_is_refused(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], check=True)
    try:
        with pytest.raises(PlanError, match="MiB free"):
            folder.create(small / "new", "c1")
        assert not list(small.iterdir())
    finally:
        subprocess.run(["umount", str(small)], check=True)


def qualification(outcomes: dict[str, str], *findings: Finding) -> Any:
    results = [SimpleNamespace(case=case, outcome=outcome) for case, outcome in outcomes.items()]
    return SimpleNamespace(results=results, findings=findings)


def finding(kind: FindingKind, severity: Severity, case: str) -> Finding:
    return Finding(kind, severity, case, "something happened")


def test_the_gate_is_open_when_all_was_attempted_and_nothing_critical_is_open() -> None:
    major = finding(FindingKind.WRONG_RESULT, Severity.MAJOR, "a")
    answer = gate.evaluate(Phase.HYPERVISOR, ["a", "b"], qualification({"a": "failed", "b": "passed"}, major))
    assert answer.passed, answer.reason


@pytest.mark.parametrize("outcome", ["not attempted", None])
def test_the_gate_is_closed_by_a_case_that_was_not_attempted(outcome: Any) -> None:
    outcomes = {"a": "passed", **({"b": outcome} if outcome else {})}
    answer = gate.evaluate(Phase.HYPERVISOR, ["a", "b"], qualification(outcomes))
    assert not answer.passed
    assert "1 of 2" in answer.reason
    assert "b" in answer.reason


@pytest.mark.parametrize("case", ["a", ""])
def test_the_gate_is_closed_by_a_critical_finding_of_a_case_or_of_the_node(case: str) -> None:
    critical = finding(FindingKind.HOST_LOCKUP, Severity.CRITICAL, case)
    answer = gate.evaluate(Phase.HYPERVISOR, ["a"], qualification({"a": "passed"}, critical))
    assert not answer.passed
    assert "something happened" in answer.reason


def test_the_gate_does_not_hold_against_a_phase_that_the_campaign_has_not_ended_yet() -> None:
    running = finding(FindingKind.INTERRUPTED, Severity.CRITICAL, "")
    later = finding(FindingKind.NOT_RUN, Severity.CRITICAL, "cloud case")
    assert gate.evaluate(Phase.HYPERVISOR, ["a"], qualification({"a": "passed"}, running, later)).passed


def test_a_required_case_that_nobody_planned_closes_the_gate() -> None:
    assert not gate.evaluate(Phase.HYPERVISOR, ["a", "missing"], qualification({"a": "passed"})).passed


def test_durations_are_medians_and_survive_a_broken_file(home: Path) -> None:
    durations = Durations()
    assert durations.expected("smoke", "a") == DEFAULT_SECONDS
    assert not durations.known("smoke", "a")
    for seconds in (3.0, 100.0, 4.0):
        durations.add("smoke", {"a": seconds})
    assert Durations().expected("smoke", "a") == 4.0
    assert not Durations().known("lab", "a"), "another profile is another scale"
    for broken in ("", "[]", '{"smoke a": "x"}', '{"smoke a": 3}'):
        (home / "durations.json").write_text(broken, encoding="utf-8")
        assert Durations().expected("smoke", "a") == DEFAULT_SECONDS


def test_durations_that_cannot_be_written_cost_nothing(tmp_path: Path) -> None:
    Durations(tmp_path / "no" / "such" / "file").add("smoke", {"a": 3.0})


def test_progress_says_plain_lines_and_keeps_them(tmp_path: Path) -> None:
    out = io.StringIO()
    with Progress("smoke", ["a", "b"], tmp_path / "campaign.log", out) as progress:
        progress.start("a")
        progress.end("a", "PASS", 5.0)
        progress.end("b", "FAIL", 65.0)
    assert out.getvalue().splitlines() == [
        "1/2 PASS        a (5 s), 15 s left",
        "2/2 FAIL        b (1 min 05 s)",
    ]
    assert len((tmp_path / "campaign.log").read_text(encoding="utf-8").splitlines()) == 2
    assert Durations().expected("smoke", "a") == 5.0
    assert not Durations().known("smoke", "b"), "a failed case may have ended early"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_live() -> None:
    out = Terminal()
    with Progress("smoke", ["a"], None, out) as progress:
        progress.start("a")
        progress.end("a", "PASS", 5.0)
    assert "1/1 PASS" in out.getvalue()
    assert "\x1b[" in out.getvalue()


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (59.4, "59 s"), (61, "1 min 01 s"), (7500, "2 h 05 min")])
def test_durations_are_read_by_people(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def test_a_process_is_ended_with_its_children_and_only_it() -> None:
    victim = subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"]
    )
    other = subprocess.Popen(["sleep", "60"])
    try:
        found = processes.look(victim.pid)
        assert found is not None
        wait.until(lambda: "SIG_IGN" in Path(f"/proc/{victim.pid}/cmdline").read_text(), 5, "the victim")
        assert processes.kill([found], 0.3) == []
        victim.wait(5)
        now = processes.look(other.pid)
        assert now is not None
        assert now.alive
        stale = processes.Process(other.pid, 1, "S", now.start - 1)
        processes.kill([stale], 0.1)
        assert other.poll() is None, "a number that was given away again is another process"
    finally:
        for process in (victim, other):
            process.kill()
            process.wait()


def test_descendants_are_found_parents_first() -> None:
    tree = [processes.Process(pid, parent, "S", 1) for pid, parent in ((2, 1), (3, 2), (4, 3), (9, 8))]
    assert [process.pid for process in processes.below(2, tree)] == [3, 4]


def test_the_tests_temporary_folder_is_theirs_alone_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/somewhere")
    with scratch.folder() as path:
        assert os.environ["TMPDIR"] == str(path) == tempfile.gettempdir()
        assert len(str(path)) < 40, "a monitor socket below it has 107 bytes in all"
        assert scratch.remove_abandoned() == [] or path.exists()
    assert not path.exists()
    assert os.environ["TMPDIR"] == "/somewhere"
    assert tempfile.gettempdir() != str(path)


def test_only_temporary_folders_of_dead_campaigns_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "ROOT", tmp_path)
    me = processes.look(os.getpid())
    assert me is not None
    for name, text in (("alive", f"{me.pid} {me.start}"), ("dead", f"{me.pid} {me.start - 1}"), ("foreign", "")):
        (tmp_path / f"{scratch.PREFIX}{name}").mkdir()
        if text:
            (tmp_path / f"{scratch.PREFIX}{name}" / folder.MARKER).write_text(text, encoding="ascii")
    assert [path.name for path in scratch.remove_abandoned()] == [f"{scratch.PREFIX}dead"]


def test_clean_closes_the_journal_of_a_dead_campaign_and_leaves_a_living_one(home: Path) -> None:
    dead, living = home / "campaigns" / "dead", home / "campaigns" / "living"
    Journal.create(dead, HEADER).close()
    said: list[str] = []
    with Journal.create(living, HEADER):
        assert cleaning.close_abandoned(said.append) == 1
    assert read(dead).lines[-1].data == {"status": "interrupted"}
    assert read(living).lines[-1].kind == "campaign"
    assert cleaning.close_abandoned(said.append) == 1, "the living one has died by now"
    assert cleaning.close_abandoned(said.append) == 0


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers(dest="verb", required=True))
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--profile", "smok"), "There is no profile 'smok'"),
        (("plan", "--profile", "production", "--param", "nothing"), "--param takes NAME=VALUE"),
        (("run", "--profile", "smoke", "--accept", "INCOMPLETE"), "INCOMPLETE"),
        (("run", "--profile", "smoke", "--accept", ""), "--accept takes"),
    ],
)
def test_wrong_words_are_one_sentence(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(HvqualError, match=said):
        cli.run(parsed(*words))


def test_a_profile_is_needed_to_run() -> None:
    with pytest.raises(SystemExit):
        parsed("run")


def test_in_the_lab_the_hosts_own_cgroups_are_known(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host_watch.own_cgroups() == ()
    monkeypatch.setenv("HVQUAL_HOST_ID", "hv-a")
    assert host_watch.own_cgroups() == (), "where it cannot be read every line counts"
    config = {
        "hierarchies": [{"mount": "/sys/fs/cgroup/memory"}, {"mount": "/sys/fs/cgroup/cpu"}],
        "cgroup_folders": ["/sys/fs/cgroup/memory/lab/hv-a", "/sys/fs/cgroup/cpu/lab/hv-a"],
    }
    (home / "lab" / "hv-a").mkdir(parents=True)
    (home / "lab" / "hv-a" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert host_watch.own_cgroups() == ("/lab/hv-a",)


def test_the_lab_without_root_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HvqualError, match="root"):
        cli.run(parsed("run", "--lab", "--profile", "smoke"))
