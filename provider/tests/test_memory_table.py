# SPDX-License-Identifier: GPL-2.0-or-later
"""The operations on memory in sequences and walks: what is allowed when, and what each makes of the model; and DIMMs below libvirt."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
from avocado.core.exceptions import TestError, TestFail

from provider.hvqual import engine, memory_devices, qemu_memory
from provider.hvqual.domain_xml import Spec
from provider.hvqual.host_config import Shape
from provider.hvqual.operations.dimms import Dimms
from provider.hvqual.operations.followed import UP
from provider.hvqual.operations.memory_table import BALLOONED, DIMMS, memory
from provider.hvqual.operations.table import LIFECYCLE
from provider.hvqual.record import Record

WANTED = SimpleNamespace(dimms=1, dimm_mib=128, node_mib=16, pattern_mib=16)
TABLE = {**LIFECYCLE, **memory(Dimms(WANTED), 15)}


def after(text: str) -> engine.Model:
    """Return the model after the operations of *text*."""
    model = UP
    for name in engine.sequence(text, TABLE, UP):
        model = TABLE[name].effect(model)
    return model


def test_dimms_and_balloon_outlive_a_save_and_a_reset_and_are_gone_with_the_power() -> None:
    kept = after("dimm_plug balloon_take managed_save start_saved restart_reset snapshot_revert save_restore")
    assert (kept.live[DIMMS], kept.live[BALLOONED], kept.state) == (1, True, engine.RUNNING)
    assert after("dimm_plug balloon_take destroy").live == {}
    assert after("dimm_plug dimm_unplug").live[DIMMS] == 0


@pytest.mark.parametrize(
    "text",
    [
        "dimm_unplug",
        "dimm_plug dimm_plug",
        "balloon_give",
        "balloon_take balloon_take",
        "dimm_plug balloon_take dimm_unplug",
        "suspend dimm_plug",
        "destroy snapshot_revert",
        "dimm_plug destroy start dimm_unplug",
    ],
)
def test_what_cannot_be_is_not_allowed(text) -> None:
    with pytest.raises(TestError, match="is not allowed"):
        after(text)


def test_walks_come_through_all_of_it() -> None:
    seen = set()
    for seed in range(200):
        seen.update(engine.walk(str(seed), 30, TABLE, UP))
    assert seen == set(TABLE)


def test_a_qemu_is_told_its_nodes_and_its_room() -> None:
    shape = memory_devices.roomy(Shape(2, 262144, (64,)), 2, 262144, 16384)
    bare = Spec("hvq-1", "u", 2, 262144, ("52:54:00:00:00:01",), ())
    told = qemu_memory.params(dataclasses.replace(bare, cells=shape.cells, growth=shape.growth))
    assert (told["maxmem_mem"], told["slots_mem"], told["mem_devs"]) == ("512M", "2", "node0 node1")
    assert (told["size_mem_node0"], told["size_mem_node1"]) == ("240M", "16M")
    assert (told["numa_cpus_node0"], told.get("numa_cpus_node1")) == ("0,1", None)
    assert qemu_memory.params(bare) == {}


class Monitor:
    """A monitor that has heard some events."""

    def __init__(self, *told: tuple[int, int]) -> None:
        self.told = told

    def get_events(self) -> list[dict[str, object]]:
        return [
            {"event": "ACPI_DEVICE_OST", "data": {"info": {"device": "dimm0", "source": source, "status": status}}}
            for source, status in self.told
        ]


@pytest.mark.parametrize(
    ("told", "refused"),
    [
        ([(3, 0x82)], True),
        ([(0x103, 0x84), (0x103, 1)], True),
        ([(0x103, 0x84)], False),
        ([(3, 0)], False),
        ([(1, 1)], False),
        ([], False),
    ],
)
def test_a_guest_refuses_by_what_its_firmware_says_of_the_ejection(tmp_path, told, refused) -> None:
    guest = SimpleNamespace(
        name="hvq-1", vm=SimpleNamespace(monitor=Monitor(*told)), wanted=SimpleNamespace(operation_timeout=0.1)
    )
    below = SimpleNamespace(record=Record(tmp_path))
    if refused:
        assert qemu_memory.told_event(guest, below, qemu_memory.CONFIRMED, "dimm0", qemu_memory.is_refusal)[
            "status"
        ] in {1, 0x82}
    else:
        with pytest.raises(TestFail, match="should have told ACPI_DEVICE_OST"):
            qemu_memory.told_event(guest, below, qemu_memory.CONFIRMED, "dimm0", qemu_memory.is_refusal)
