# SPDX-License-Identifier: GPL-2.0-or-later
"""The hook into a plain `avocado run`: it judges our cases, leaves other jobs alone, and nothing that breaks in it ends in 0."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from avocado_hvqual import wait
from avocado_hvqual.campaign import journal, processes
from tests import scratch_vt

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: without the kernel log the host's health is unknown"),
]
PLAIN_RUN = 16
RUN = ("run", "--vt-type", "qemu", "--disable-sysinfo")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> scratch_vt.Scratch:
    return scratch_vt.build(tmp_path_factory.mktemp("hook"))


def run(home: scratch_vt.Scratch, *labels: str, extra: tuple[str, ...] = (), **environment: str) -> Any:
    only = ",".join(f"scratch.{label}" for label in labels)
    return home.avocado(*RUN, *extra, "--vt-only-filter", only, "hvqual", timeout=240, **environment)


def verdict(home: scratch_vt.Scratch) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((home.results() / "verdict.json").read_text(encoding="utf-8"))
    return loaded


def test_a_clean_selection_ends_in_avocados_zero_and_says_one_line(home: scratch_vt.Scratch) -> None:
    done = run(home, "pass")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum("HVQUAL     :" in line for line in done.stdout.splitlines()) == 1
    assert verdict(home)["verdict"] == "SELECTION"
    assert (home.results() / "report.html").exists()
    assert str(home.results() / "report.html") in done.stdout
    kinds = [line.kind for line in journal.read(home.results()).lines]
    assert kinds.index("plan") < kinds.index("case-begin") < kinds.index("case-end") < kinds.index("campaign-end")


@pytest.mark.parametrize(
    ("label", "status", "attempted"),
    [
        ("unmet", 1, 1),
        ("fail", 1, 1),
        ("error", 1, 0),
        ("cancel", PLAIN_RUN, 0),
        ("skip", PLAIN_RUN, 0),
        ("warn", PLAIN_RUN, 0),
        ("silent", PLAIN_RUN, 0),
        ("die", 1, 0),
        ("killed_runner", 1, 0),
    ],
)
def test_what_was_not_attempted_or_is_open_never_ends_in_zero(
    home: scratch_vt.Scratch, label: str, status: int, attempted: int
) -> None:
    done = run(home, label)
    assert done.returncode == status, done.stdout + done.stderr
    assert verdict(home)["attempted"] == attempted
    assert verdict(home)["findings"]


def test_results_belong_to_their_case_when_one_of_many_is_bad(home: scratch_vt.Scratch) -> None:
    done = run(home, "pass", "silent", "cancel")
    assert done.returncode == PLAIN_RUN, done.stdout
    found = {finding["case"] for finding in verdict(home)["findings"]}
    assert found == {"qemu:hvqual.scratch.silent:single_big", "qemu:hvqual.scratch.cancel:single_big"}
    assert (verdict(home)["attempted"], verdict(home)["required"]) == (1, 3)


def test_a_job_timeout_is_not_zero(home: scratch_vt.Scratch) -> None:
    done = run(home, "hang", "pass", extra=("--job-timeout", "6s"))
    assert done.returncode & 8, done.stdout
    assert verdict(home)["attempted"] < 2


def test_a_test_that_hangs_is_ended_whole_and_the_next_one_runs(home: scratch_vt.Scratch) -> None:
    code = """
import sys
from avocado_hvqual.campaign import watchdog
watchdog.MARGIN_SECONDS = 3.0
watchdog.Watchdog.__init__.__defaults__ = (3.0,)
sys.argv = ["avocado", *sys.argv[1:]]
from avocado.core.main import main
sys.exit(main())
"""
    arguments = (*RUN, "--vt-extra-params", "hv_timeout=5", "--", "hvqual.scratch.hang", "hvqual.scratch.pass")
    done = home.python(code, *arguments, timeout=200)
    assert "INTERRUPT 1" in done.stdout, done.stdout + done.stderr
    assert "PASS 1" in done.stdout
    (pid,) = (int(path.read_text()) for path in home.results().glob("test-results/*/pid"))
    left = processes.look(pid)
    assert left is None or not left.alive


INJECT = """
import sys
from avocado_hvqual.campaign import {module} as module
def broken(*_arguments, **_named):
    {act}
{target} = broken
sys.argv = ["avocado", *sys.argv[1:]]
from avocado.core.main import main
sys.exit(main())
"""
PLACES = {
    "pre": ("hook", "module.tame"),
    "pre, journal": ("journal", "module.Journal.create"),
    "pre, watch": ("host_watch", "module.HostWatch.start"),
    "pre, watchdog": ("watchdog", "module.Watchdog.start"),
    "start_test": ("job_events", "module.JobEvents.start"),
    "end_test": ("job_events", "module.JobEvents.end"),
    "end_test, look": ("host_watch", "module.HostWatch.look"),
    "post, settle": ("watchdog", "module.Watchdog.stop"),
    "post, reconcile": ("job_events", "module.JobEvents.reconcile"),
    "post, health": ("host_watch", "module.HostWatch.report"),
    "post, judge": ("outcome", "module.judge"),
    "post, reports": ("outcome", "module.reports.write"),
    "post, itself": ("hook", "module.settle"),
    "post, conclude": ("selection", "module._conclude"),
    "journal line": ("journal", "module.Journal.append"),
}
ACTS = {
    "an exception": "raise RuntimeError('seeded')",
    "a full disk": "raise OSError(28, 'No space left on device')",
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_nothing_that_breaks_in_a_hook_ends_in_zero(home: scratch_vt.Scratch, place: tuple[str, str], act: str) -> None:
    code = INJECT.format(module=place[0], target=place[1], act=act)
    done = home.python(code, *RUN, "--vt-only-filter", "scratch.pass", "hvqual", timeout=200)
    assert done.returncode not in {0, -1, 255}, done.stdout + done.stderr
    assert "seeded" in done.stdout + done.stderr or "No space left" in done.stdout + done.stderr


HALF = """
import os, sys
from avocado_hvqual.campaign import journal, processes
whole = os.write
def half(descriptor, data):
    if b'"kind":"KIND"' in data:
        whole(descriptor, data[: len(data) // 2])
        os.fsync(descriptor)
        raise OSError(28, "No space left on device")
    return whole(descriptor, data)
journal.os.write = half
if KEEP:
    journal.os.ftruncate = lambda *_: None
sys.argv = ["avocado", *sys.argv[1:]]
from avocado.core.main import main
sys.exit(main())
"""


@pytest.mark.parametrize("keep", [True, False], ids=["torn line stays", "torn line is cut"])
@pytest.mark.parametrize("kind", ["plan", "case-begin", "case-end", "health-state", "campaign-end"])
def test_a_half_written_journal_never_ends_in_zero(home: scratch_vt.Scratch, kind: str, keep: bool) -> None:
    code = HALF.replace("KIND", kind).replace("KEEP", str(keep))
    done = home.python(code, *RUN, "--vt-only-filter", "scratch.pass", "hvqual", timeout=200)
    assert done.returncode not in {0, -1, 255}, done.stdout + done.stderr


def interrupted(home: scratch_vt.Scratch, number: int, ready: Callable[[], bool]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "avocado", *RUN, "--vt-only-filter", "scratch.hang", "hvqual"]
    with subprocess.Popen(
        command, env=home.environment(), cwd=home.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        wait.until(ready, 60, "the test to hang")
        os.kill(process.pid, number)
        output, _ = process.communicate(timeout=120)
        return subprocess.CompletedProcess(command, process.returncode, output)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 8), (signal.SIGTERM, PLAIN_RUN)])
def test_an_interrupted_job_is_not_zero_and_leaves_no_test_running(
    home: scratch_vt.Scratch, number: int, status: int
) -> None:
    began = time.time()

    def pids() -> list[int]:
        files = list((home.root / "results").glob("job-*/test-results/*/pid"))
        return [int(path.read_text()) for path in files if path.stat().st_mtime >= began and path.read_text()]

    done = interrupted(home, number, lambda: bool(pids()))
    assert done.returncode == status, done.stdout
    assert verdict(home)["attempted"] == 0
    left = [processes.look(pid) for pid in pids()]
    assert not [process for process in left if process is not None and process.alive]


def test_a_killed_job_is_found_by_clean_and_judged_as_interrupted(home: scratch_vt.Scratch) -> None:
    began = time.time()

    def pids() -> list[int]:
        files = list((home.root / "results").glob("job-*/test-results/*/pid"))
        return [int(path.read_text()) for path in files if path.stat().st_mtime >= began and path.read_text()]

    interrupted(home, signal.SIGKILL, lambda: bool(pids()))
    left = [process for process in map(processes.look, pids()) if process is not None]
    processes.kill(left, 1.0)
    done = home.python("import sys; from avocado_hvqual.plugins.cli import dispatch; sys.exit(dispatch(['clean']))")
    assert f"closed the journal of the interrupted campaign in '{home.results()}'" in done.stdout
    assert journal.read(home.results()).lines[-1].data == {"status": "interrupted"}
    assert not list((home.root / "state" / "open").rglob("job-*"))


def test_a_kernel_log_line_during_a_case_is_its_finding(home: scratch_vt.Scratch) -> None:
    code = (
        scratch_vt.SEED_LOG
        + 'import sys; from avocado.core.main import main; sys.argv[0] = "avocado"; sys.exit(main())'
    )
    done = home.python(code, *RUN, "--vt-only-filter", "scratch.pass", "hvqual", timeout=200)
    assert done.returncode == PLAIN_RUN, done.stdout
    (finding,) = verdict(home)["findings"]
    assert (finding["kind"], finding["severity"]) == ("host-lockup", "critical")
    assert finding["case"] == "qemu:hvqual.scratch.pass:single_big"


def test_a_leaf_that_is_not_defined_well_ends_the_job_before_its_first_test(home: scratch_vt.Scratch) -> None:
    done = run(home, "pass", extra=("--vt-extra-params", "hv_phase=someday"))
    assert done.returncode == 2
    assert "someday" in done.stdout + done.stderr
    assert not list(home.results().glob("test-results/*"))


def test_dead_libvirtd_ends_the_job_with_the_command_that_mends_it(home: scratch_vt.Scratch) -> None:
    done = run(
        home,
        "pass",
        extra=(
            "--vt-extra-params",
            "vm_type=libvirt",
            "--vt-extra-params",
            "connect_uri=qemu+unix:///system?socket=/nowhere",
        ),
    )
    assert done.returncode == 2
    assert "libvirtd does not answer" in done.stdout + done.stderr
    assert not list(home.results().glob("test-results/*"))


def test_a_job_without_our_cases_is_left_alone(home: scratch_vt.Scratch) -> None:
    for reference, status in (("/bin/true", 0), ("/bin/false", 1)):
        with_us = home.avocado("run", "--disable-sysinfo", reference)
        files = sorted(path.name for path in home.results().iterdir())
        disabled = home.root / "disabled.conf"
        everything = [
            "job.prepost.hvqual",
            "job.prepost.hvqual-job",
            "result_events.hvqual",
            "result_events.hvqual-events",
        ]
        disabled.write_text(f"[plugins]\ndisable = {everything}\n", encoding="utf-8")
        without = home.avocado("--config", str(disabled), "run", "--disable-sysinfo", reference)
        assert with_us.returncode == without.returncode == status
        assert files == sorted(path.name for path in home.results().iterdir())
        assert "HVQUAL" not in with_us.stdout
        shape = [line.split(":")[0] for line in with_us.stdout.splitlines()]
        assert shape == [line.split(":")[0] for line in without.stdout.splitlines()]
