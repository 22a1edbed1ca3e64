# SPDX-License-Identifier: GPL-2.0-or-later
"""Operations on many VMs at once: all end, the worst outcome is told, each failure with its VM's name."""

import threading
import time
from dataclasses import dataclass

import pytest
from avocado.core.exceptions import TestCancel, TestError, TestFail

from provider.hvqual import together


@dataclass(frozen=True)
class Vm:
    """A VM as far as `each` knows it."""

    name: str


VMS = [Vm("hvq-1"), Vm("hvq-2"), Vm("hvq-3")]


def raiser(**errors):
    """Return an operation that raises for some VMs and returns the name of the others."""

    def do(vm):
        error = errors.get(vm.name.replace("-", ""))
        if error:
            raise error
        return vm.name

    return do


def test_results_are_in_the_order_of_the_guests():
    """Each VM's result stands at its place."""
    assert together.each(VMS, raiser()) == ["hvq-1", "hvq-2", "hvq-3"]


def test_they_run_at_once():
    """All three meet at a barrier: one after the other would never pass it."""
    barrier = threading.Barrier(3, timeout=10)
    assert sorted(together.each(VMS, lambda _: barrier.wait())) == [0, 1, 2]


@pytest.mark.parametrize(("at_once", "most"), [(1, 1), (2, 2), (0, 4), (9, 4)])
def test_as_many_at_a_time_as_asked(at_once, most):
    """So many of four VMs meet at a barrier, and never more are at it; 0 is all."""
    four = [*VMS, Vm("hvq-4")]
    lock, at_it, seen, meet = threading.Lock(), [], [], threading.Barrier(most, timeout=10)

    def do(vm):
        with lock:
            at_it.append(vm)
            seen.append(len(at_it))
        meet.wait()
        time.sleep(0.05)  # long enough for one that nobody held back to be seen beside these
        with lock:
            at_it.remove(vm)

    together.each(four, do, at_once)
    assert len(seen) == len(four)
    assert max(seen) <= most


def test_the_failed_one_is_named():
    """Of three VMs the one that failed is told, the message of the product kept."""
    with pytest.raises(TestFail, match=r"^'hvq-2': it is gone$"):
        together.each(VMS, raiser(hvq2=TestFail("it is gone")))


def test_the_worst_kind_wins_and_all_are_told():
    """A failure of the product outranks an error, and that a cancel."""
    with pytest.raises(TestFail, match=r"3 of 3 VMs: 'hvq-1': no agent; 'hvq-2': refused; 'hvq-3': no disk"):
        together.each(VMS, raiser(hvq1=TestCancel("no agent"), hvq2=TestFail("refused"), hvq3=TestError("no disk")))
    with pytest.raises(TestError):
        together.each(VMS, raiser(hvq1=TestCancel("no agent"), hvq3=TestError("no disk")))
    with pytest.raises(TestCancel):
        together.each(VMS, raiser(hvq1=TestCancel("no agent")))


def test_a_bug_is_an_error_of_the_test():
    """What is no outcome of a test becomes a TestError that names its kind, never a pass."""
    with pytest.raises(TestError, match="'hvq-1': ZeroDivisionError: by zero"):
        together.each(VMS, raiser(hvq1=ZeroDivisionError("by zero")))


def test_one_guest_needs_no_thread():
    """A single VM's exception comes through as it is."""
    with pytest.raises(ZeroDivisionError):
        together.each(VMS[:1], raiser(hvq1=ZeroDivisionError()))
