# SPDX-License-Identifier: GPL-2.0-or-later
"""IPIs in a guest: what its program says is read, a CPU that does not answer is told, and silence is never taken for an answer."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import subprocess
from types import SimpleNamespace

import pytest
from avocado.core.exceptions import TestError, TestFail
from hypothesis import given
from hypothesis import strategies as st

from provider.hvqual import ipi
from provider.hvqual.guest_cpus import GuestCpus
from provider.hvqual.operations import cpu_work

MOST = ipi.Calls(1, 0.01)


def guest(answer: str) -> SimpleNamespace:
    return SimpleNamespace(name="hvq-1", ask=lambda _command: answer)


def test_the_longest_call_of_each_cpu_but_the_first_is_told_and_the_median() -> None:
    told = ipi.calls(guest("cpu 1 0.000250 0.000150\ncpu 3 0.012000 0.000140\n"), {0, 1, 3}, MOST)  # type: ignore[arg-type]
    assert told == {1: ipi.Calls(0.00025, 0.00015), 3: ipi.Calls(0.012, 0.00014)}


class Noted:
    """What is written down, and nothing else of a record."""

    def __init__(self) -> None:
        self.labels: dict[str, str] = {}
        self.seen: list[tuple[str, float, str]] = []
        self.problems: list[str] = []

    def observe(self, name: str, value: float, unit: str, vm: str = "") -> None:
        assert unit == "s"
        self.seen.append((name, value, self.labels.get(vm, "")))

    def problem(self, what: str, message: str, vm: str = "") -> None:
        assert (what, vm) == ("wrong-result", "hvq-1")
        self.problems.append(message)


def call(answer: str) -> Noted:
    """Have the guest say *answer* of its CPUs 0, 1 and 2 that have the APIC ids 0, 2 and 3."""
    noted, it = Noted(), guest(answer)
    it.wanted = SimpleNamespace(ipi_timeout=1.0, ipi_slow=0.01)
    cpus = GuestCpus(online=frozenset({0, 1, 2}), apic={0: 0, 1: 2, 2: 3})
    with contextlib.suppress(TestFail):
        cpu_work.called(it, SimpleNamespace(record=noted), cpus)  # type: ignore[arg-type]
    return noted


def test_cpus_that_are_reached_are_told_by_their_apic_ids() -> None:
    noted = call("cpu 1 0.000250 0.000150\ncpu 2 0.012000 0.000140\n")
    assert noted.seen == [
        ("ipi_time", 0.00025, "CPU 1, APIC id 2"),
        ("ipi_median", 0.00015, "CPU 1, APIC id 2"),
        ("ipi_time", 0.012, "CPU 2, APIC id 3"),
        ("ipi_median", 0.00014, "CPU 2, APIC id 3"),
    ]
    assert noted.problems == []


def test_a_guest_with_a_cpu_that_is_not_reached_is_given_up_with_the_ids_of_all() -> None:
    noted = call("cpu 1 3.496283 0.029766\n")
    assert noted.seen == [("ipi_time", 3.496283, "CPU 1, APIC id 2"), ("ipi_median", 0.029766, "CPU 1, APIC id 2")]
    [told] = noted.problems
    assert told == (
        "An interrupt from CPU 0 of 'hvq-1' does not reach its other CPUs in time: CPU 1 (APIC id 2) after 3.50 s, "
        "half of the times after 0.030 s or more. "
        "Its CPUs have the APIC ids 0, 2, 3."
    )


def test_a_guest_with_a_cpu_that_is_reached_by_luck_alone_is_given_up_too() -> None:
    """What was seen of QEMU 7.2: no call took long, and half of them a hundred times what they take where none gets lost."""
    noted = call("cpu 1 0.100095 0.019914\n")
    assert [name for name, *_ in noted.seen] == ["ipi_time", "ipi_median"]
    [told] = noted.problems
    assert "CPU 1 (APIC id 2) after 0.10 s, half of the times after 0.020 s or more." in told


def test_a_guest_with_one_cpu_has_nobody_to_call() -> None:
    assert ipi.calls(guest(""), {0}, MOST) == {}  # type: ignore[arg-type]


def test_behind_a_cpu_that_took_too_long_nobody_needs_to_have_been_called() -> None:
    told = ipi.calls(guest("cpu 1 3.496283 3.496283\n"), {0, 1, 2}, MOST)  # type: ignore[arg-type]
    assert told == {1: ipi.Calls(3.496283, 3.496283)}
    told = ipi.calls(guest("cpu 1 0.100095 0.019914\n"), {0, 1, 2}, MOST)  # type: ignore[arg-type]
    assert told == {1: ipi.Calls(0.100095, 0.019914)}


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "cpu 1 0.000250 0.000150\n",
        "cpu 1 0.000250 0.000150\ncpu 2 refuses: Permission denied\n",
        "cpu 1 0.000250 0.000150\ncpu 2 refuses: Permission denied\ncpu 2 0.000150 0.000150\n",
        "cpu 1 0.000250 0.000150\ncpu 2 0.000150\n",
        "sh: perl: not found\n",
        "clock_gettime: Function not implemented\n",
    ],
)
def test_a_cpu_of_which_nothing_is_known_ends_the_case_with_what_the_guest_said(answer: str) -> None:
    with pytest.raises(TestError) as caught:
        ipi.calls(guest(answer), {0, 1, 2}, MOST)  # type: ignore[arg-type]
    assert repr(answer) in str(caught.value)
    assert "2]" in str(caught.value)


@given(st.text(max_size=200))
def test_whatever_a_guest_says_is_read_without_an_accident(text: str) -> None:
    assert all(cpu >= 0 and took.longest >= 0 and took.median >= 0 for cpu, took in ipi.parsed(text).items())


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the program has the numbers of x86-64's system calls")
def test_the_program_measures_on_this_machine_or_says_why_it_cannot() -> None:
    perl = shutil.which("perl")
    assert perl is not None
    cpu = max(os.sched_getaffinity(0))
    ran = subprocess.run(
        [perl, "-", "3", "1", "1", str(cpu)], input=ipi.PROGRAM, capture_output=True, text=True, check=True
    )
    assert ran.stderr == ""
    told = ipi.parsed(ran.stdout)
    assert (0 < told[cpu].median <= told[cpu].longest < 60) if told else f"cpu {cpu} refuses: " in ran.stdout


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the program has the numbers of x86-64's system calls")
@pytest.mark.parametrize(("most", "told"), [(["1", "1"], 2), (["1", "0"], 1), (["0", "1"], 1)])
def test_the_program_calls_no_further_cpu_once_one_took_too_long(most: list[str], told: int) -> None:
    perl, cpu = shutil.which("perl"), str(max(os.sched_getaffinity(0)))
    assert perl is not None
    ran = subprocess.run(
        [perl, "-", "3", *most, cpu, cpu], input=ipi.PROGRAM, capture_output=True, text=True, check=True
    )
    refused = "refuses: " in ran.stdout
    assert len(ran.stdout.splitlines()) == (2 if refused else told)


def test_the_guest_runs_just_that_program_on_its_first_cpu() -> None:
    asked: list[str] = []

    def ask(command: str) -> str:
        asked.append(command)
        return "cpu 4 0.000001 0.000001\n"

    ipi.calls(SimpleNamespace(name="hvq-1", ask=ask), [4, 2], ipi.Calls(0.5, 0.00001))  # type: ignore[arg-type]
    assert base64.b64decode(asked[0].split()[1]).decode() == ipi.PROGRAM
    assert f"taskset -c 2 perl - {ipi.ROUNDS} 0.5 1e-05 4 " in asked[0]
