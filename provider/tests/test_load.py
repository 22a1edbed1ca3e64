# SPDX-License-Identifier: GPL-2.0-or-later
"""The work that guests do: the very program runs here, and what its guest tells is read for what it is."""

import subprocess
import time

import pytest
from avocado.core.exceptions import TestFail
from hypothesis import given
from hypothesis import strategies as st

from provider.hvqual import load, wait

MEMINFO = "MemTotal:         205124 kB\nMemFree:          150000 kB\nMemAvailable:     140000 kB\n"


class Recording:
    """What is told of one test."""

    def __init__(self):
        self.seen, self.problems = {}, []

    def step(self, *_):
        import contextlib

        return contextlib.nullcontext()

    def observe(self, name, value, unit, vm=None):
        self.seen[name] = value

    def problem(self, what, message, vm=None):
        self.problems.append((what, message))


class Guest:
    """A guest that answers what the test wants it to."""

    name = "hvq-1"

    def __init__(self, vcpus, out):
        self.spec = type("Spec", (), {"vcpus": vcpus})
        self.out, self.asked = out, []

    def ask(self, command):
        self.asked.append(command)
        if "meminfo" in command:
            return MEMINFO
        return self.out if f"cat {load.PLACE}.out" in command else ""


class Expect:
    """As much of an Expect as a load needs."""

    def __init__(self):
        self.record = Recording()


def run(*arguments, timeout):
    """Run the program as a guest would; return its output and CPU seconds."""
    before = sum(_times())
    try:
        done = subprocess.run(
            ["perl", "-", *arguments], input=load.PROGRAM, capture_output=True, text=True, timeout=timeout, check=True
        )
        out = done.stdout
    except subprocess.TimeoutExpired:
        out = ""
    return out, sum(_times()) - before


def _times():
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime, used.ru_stime


def test_program_touches_memory_and_finds_it():
    """Written and found again, as one line that is understood."""
    out, _ = run("touch", "3", timeout=20)
    assert load.results(out) == [(3, 3)]


def test_memory_is_kept_until_all_have_theirs(tmp_path):
    """
    A process that was quick keeps what it wrote for those that are not.

    Seen: in a guest with two vCPUs the second process wrote the memory that the first had given back, and 60 percent were resident.
    """
    held = tmp_path / "held"
    out, _ = run("touch", "3", "2", str(held), timeout=1.5)
    assert out == ""
    assert held.read_text() == "x"
    out, _ = run("touch", "3", "2", str(held), timeout=20)
    assert load.results(out) == [(3, 3)]


def test_memory_that_nobody_can_be_told_to_keep_is_not_found(tmp_path):
    """Without the others' marks nobody knows whether all had theirs at once, so there is no result."""
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run("touch", "3", "1", str(tmp_path / "none" / "held"), timeout=20)
    assert load.results(failed.value.stdout) == []


def test_nobody_waits_for_a_process_that_ended():
    """The shell around each process writes its mark when it ends, and the marks of the time before are gone."""
    guest = Guest(2, "touched=54 good=54\ntouched=54 good=54\nended\n")
    load.touch(guest, Expect(), 1)
    assert any(f"touch 54 2 {load.PLACE}.held" in command for command in guest.asked)
    assert any(f"; printf x >> {load.PLACE}.held) &" in command for command in guest.asked)
    assert any(f"rm -f {load.PLACE}.out {load.PLACE}.pid {load.PLACE}.held" in command for command in guest.asked)


@pytest.mark.parametrize(("share", "least", "most"), [("20", 0.1, 0.55), ("100", 0.75, 2.0)])
def test_program_burns_its_share(share, least, most):
    """Of 1.5 s a fifth, or all that this machine gives."""
    started = time.monotonic()
    _, spent = run("burn", share, timeout=1.5)
    assert least * 0.5 <= spent <= most, (spent, time.monotonic() - started)


def test_all_was_touched():
    """Every process told its part: the ratio is of what was found again."""
    guest, expect = Guest(2, "touched=52 good=52\ntouched=52 good=47\nended\n"), Expect()
    load.touch(guest, expect, 1)
    assert expect.record.seen["memory_touched"] == pytest.approx(99 / (2 * 54), abs=0.01)
    assert expect.record.seen["memory_promised"] == load.promise(140000 // 1024, 2) == 109
    assert any("touch 54" in command for command in guest.asked)


@pytest.mark.parametrize("out", ["ended\n", "touched=54 good=54\nended\n", "Out of memory!\nended\n"])
def test_memory_that_cannot_be_used_fails_at_once(out):
    """A process that was killed tells nothing, and nothing is no success."""
    guest, expect = Guest(2, out), Expect()
    began = time.monotonic()
    with pytest.raises(TestFail, match=r"'hvq-1' cannot use its memory: of 2 processes"):
        load.touch(guest, expect, 30)
    assert time.monotonic() - began < 5
    assert "memory_touched" not in expect.record.seen


def test_memory_that_takes_for_ever_fails(monkeypatch):
    """Who never ends has not written."""
    monkeypatch.setattr(load, "until", lambda condition, timeout, what, interval: wait.until(condition, 0.1, what))
    with pytest.raises(TestFail, match=r"cannot use its memory\. Waited"):
        load.touch(Guest(2, "touched=54 good=54\n"), Expect(), 1)


@given(st.integers(24, 1 << 24), st.integers(1, 512))
def test_promise_leaves_room(available, processes):
    """What is asked for is less than what there is, by what the tool itself needs."""
    assert load.promise(available, processes) + load.OWN_MIB * processes <= available - load.KERNEL_MIB


def test_burning_ends_what_it_began():
    """One process a vCPU, each on its own, ended at the end of the block."""
    guest = Guest(2, "")
    with load.burning([guest], 20, 30):
        begun = len(guest.asked)
        assert any(
            "for cpu in 0 1" in command and "timeout 30" in command and "burn 20" in command for command in guest.asked
        )
    assert any("kill" in command for command in guest.asked[begun:])


def test_a_failed_block_asks_the_guest_nothing_more():
    """The guest may be what failed; its load ends by itself."""
    guest = Guest(1, "")

    def failing():
        with load.burning([guest], 20, 30):
            raise KeyError(len(guest.asked))

    with pytest.raises(KeyError) as raised:
        failing()
    assert len(guest.asked) == raised.value.args[0]


def test_no_meminfo_promises_nothing():
    """Unreadable is zero, so nothing is touched and nothing is met."""
    assert load.available_mib("") == 0
