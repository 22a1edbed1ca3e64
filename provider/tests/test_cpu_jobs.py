# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs on the CPUs of a guest: the commands themselves run here, in a shell as a guest's."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from provider.hvqual import cpu_jobs
from provider.hvqual.wait import until

PROGRAM = r"""
my ($cpu, $file) = @ARGV;
open(my $out, ">", "$file.new"); print $out "job $cpu $$\n"; close $out; rename "$file.new", $file;
print STDERR "on $cpu\n";
sleep 60;
"""
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("perl", "setsid", "taskset", "timeout"))), reason="a tool of the jobs is not here"
)


class Guest:
    """This machine."""

    name = "vm1"

    def ask(self, command):
        """Return what a shell says."""
        return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=30).stdout


@pytest.fixture
def place(tmp_path):
    """The jobs' place; none of them stays."""
    yield f"{tmp_path}/job"
    cpu_jobs.end(Guest(), f"{tmp_path}/job")


def running(place, cpus):
    """Return the process of each job, once all have written."""

    def told():
        lines = (line.split() for line in cpu_jobs.written(Guest(), place).splitlines())
        found = {int(cpu): int(pid) for _, cpu, pid in lines}
        return found if set(found) == set(cpus) else None

    return until(told, 20, f"a job on each of {cpus}")


def alive(pid):
    """Is there a process of that number that has not ended?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_each_job_is_bound_to_its_cpu_and_ends_with_all_that_it_wrote(place):
    cpus = sorted(os.sched_getaffinity(0))[:2]
    cpu_jobs.begin(Guest(), place, PROGRAM, cpus, 60)
    jobs = running(place, cpus)
    assert [os.sched_getaffinity(jobs[cpu]) for cpu in cpus] == [{cpu} for cpu in cpus]
    cpu_jobs.end(Guest(), place)
    until(lambda: not any(map(alive, jobs.values())), 10, "the jobs to end")
    assert [file.name for file in Path(place).parent.iterdir()] == ["job.pl"]


def test_a_job_that_was_left_over_on_its_cpu_is_another_one(place):
    cpu = min(os.sched_getaffinity(0))
    cpu_jobs.begin(Guest(), place, PROGRAM, [cpu], 60)
    old = running(place, [cpu])[cpu]
    cpu_jobs.begin(Guest(), place, PROGRAM, [cpu], 60)
    until(lambda: not alive(old), 10, "the job of before to end")
    assert running(place, [cpu])[cpu] != old


def test_a_job_that_does_not_get_on_says_why(place):
    cpu_jobs.begin(Guest(), place, "die qq(no memory here)", [min(os.sched_getaffinity(0))], 60)
    said = until(lambda: cpu_jobs.complaints(Guest(), place), 20, "the job to say it")
    assert "no memory here" in said
    assert cpu_jobs.written(Guest(), place) == ""


def test_a_job_ends_by_itself(place):
    cpu = min(os.sched_getaffinity(0))
    cpu_jobs.begin(Guest(), place, PROGRAM, [cpu], 1)
    job = running(place, [cpu])[cpu]
    assert until(lambda: not alive(job), 20, "the job to end by itself")
    assert cpu_jobs.complaints(Guest(), place) == f"on {cpu}", (
        "it was ended in its work, and did not die of something else"
    )
