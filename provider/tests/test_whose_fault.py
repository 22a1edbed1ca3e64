# SPDX-License-Identifier: GPL-2.0-or-later
"""Who did not do his part when vCPUs were to go: told by what QEMU said, as captured with 10.0.2 without KVM."""

import pytest

from provider.hvqual.operations.cpu_hotplug import whose_fault
from provider.hvqual.qemu_events import CONFIRMED, DELETED, Heard

BUSY = (CONFIRMED, {"info": {"device": "vcpu2", "source": 3, "status": 132, "slot": "2", "slot-type": "CPU"}})
DONE = (CONFIRMED, {"info": {"source": 3, "status": 0, "slot": "2", "slot-type": "CPU"}})
LAPIC = (DELETED, {"path": "/machine/peripheral/vcpu2/lapic"})
VCPU = (DELETED, {"device": "vcpu2", "path": "/machine/peripheral/vcpu2"})


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ((), "The guest was not heard to let go of the vCPUs [2]."),
        ((BUSY,), "The guest was not heard to let go of the vCPUs [2]."),
        ((BUSY, LAPIC, DONE), "QEMU did not tell that the vCPUs [2] were removed (DEVICE_DELETED)."),
        ((BUSY, LAPIC, DONE, VCPU), "QEMU told that each was removed."),
    ],
)
def test_each_is_held_to_what_was_heard(events, words):
    """A guest that says it is busy has not let go, and a vCPU's interrupt controller is not the vCPU."""
    heard = Heard()
    for name, data in events:
        heard.keep(name, data)
    assert whose_fault(heard, frozenset([2])).endswith(words)
