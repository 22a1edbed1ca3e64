# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest says of its CPUs, and by which APIC ids they are found among those of the model."""

from dataclasses import replace

import pytest

from provider.hvqual import guest_cpus, vcpu_ids
from provider.hvqual.domain_xml import Cell, Growth, Spec

SAID = """present 0-1,3
online 0,3
processor\t: 0
apicid\t\t: 0
processor\t: 3
apicid\t\t: 5
           CPU0       CPU3
  4:        100          0   IO-APIC   4-edge      ttyS0
LOC:       2718       1773   Local timer interrupts
errors 2
"""


def test_the_guests_answer_is_understood():
    told = guest_cpus.parsed(SAID)
    assert told.present == {0, 1, 3}
    assert told.online == {0, 3}
    assert told.apic == {0: 0, 3: 5}
    assert told.ticks == {0: 2718, 3: 1773}
    assert told.errors == 2
    assert told.by_apic([5, 9]) == {3}


@pytest.mark.parametrize("numbers", ["2718              Local", "             Local", "2718   x1   Local"])
def test_interrupts_of_a_cpu_that_goes_just_then_are_not_told(numbers):
    """It has a column, and no number any more."""
    told = guest_cpus.parsed(SAID.replace("2718       1773   Local", numbers))
    assert (told.ticks, told.online, told.errors) == ({}, {0, 3}, 2)


def test_an_empty_answer_has_no_cpus():
    assert guest_cpus.parsed("") == guest_cpus.GuestCpus()


@pytest.mark.parametrize(
    ("most", "cells", "ids", "apic"),
    [
        (1, 0, [0], {0}),
        (8, 0, [0, 5], {0, 5}),
        # Sockets of three cores each take two bits for the core.
        (6, 2, [0, 2, 3, 5], {0, 2, 4, 6}),
        # Seven cannot be split into two sockets: one socket.
        (7, 2, [3, 6], {3, 6}),
    ],
)
def test_apic_ids_follow_from_sockets_and_cores(most, cells, ids, apic):
    one = replace(Spec("hvq-1", "u", 1, 1024, (), ()), growth=Growth(max_vcpus=most), cells=(Cell((0,), 1024),) * cells)
    assert vcpu_ids.apic_ids(ids, one) == apic
