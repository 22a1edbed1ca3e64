# SPDX-License-Identifier: GPL-2.0-or-later
"""The registry of seeded faults: every act exists, every name is one, and what takes resources takes them from ours alone."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.faults import acts_definition, acts_resources, emulators, registry, registry_prep, seed, spoilers


def known() -> set[str]:
    """Return the names of all acts that a seeder can do."""
    tables: list[dict[str, Any]] = [table for name, table in vars(seed).items() if name.endswith("ACTS")]
    return {name for table in tables for name in table}


def test_every_fault_has_something_to_seed_and_to_be_caught_by() -> None:
    assert len({fault.name for fault in registry.FAULTS}) == len(registry.FAULTS)
    for fault in registry.FAULTS:
        assert [bool(it) for it in (fault.lie, fault.act, fault.emulator, fault.spoils)].count(True) == 1, fault.name
        assert not fault.spoils or fault.spoils in spoilers.SPOILERS, fault.name
        assert not fault.emulator or fault.emulator in emulators.EDITS, fault.name
        assert not fault.act or fault.act in known(), fault.name
        assert fault.use_cases, fault.name
        assert not re.search(fault.caught, ""), f"{fault.name} would be caught by a message that says nothing"


@pytest.mark.parametrize(
    "use_case",
    [
        *registry.DEFINITION,
        registry.SINGLE_BIG,
        registry.N_EQUAL,
        registry.PATTERNS,
        registry.START_TIME,
        registry.CONCURRENT,
        *registry_prep.PREP_FILTERS,
    ],
)
def test_each_use_case_has_two_faults(use_case: str) -> None:
    assert sum(use_case in fault.use_cases for fault in registry.FAULTS) >= 2


class Virsh:
    """An honest virsh that tells of one guest and keeps what it is asked."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers, self.asked = answers, []  # type: ignore[var-annotated]

    def __call__(self, *words: str) -> str:
        self.asked.append(words)
        return self.answers.get(words[0], "")

    def order(self, verb: str) -> tuple[str, ...]:
        """Return the last call of *verb*."""
        return next(words for words in reversed(self.asked) if words[0] == verb)


@pytest.fixture
def virsh(monkeypatch: pytest.MonkeyPatch) -> Virsh:
    answers = {
        "dominfo": "Max memory:     262144 KiB\nUsed memory:    262144 KiB\n",
        "vcpupin": " VCPU   CPU Affinity\n----------------------\n 0      1\n 1      0\n",
        "domiflist": " vnet1 network default virtio 52:54:00:aa:bb:01\n vnet2 network default virtio 52:54:00:aa:bb:02\n",
        "qemu-agent-command": json.dumps({"return": [{"logical-id": 0}, {"logical-id": 1}]}),
    }
    made = Virsh(answers)
    monkeypatch.setattr(acts_resources, "virsh", made)
    monkeypatch.setattr(acts_resources, "guests", lambda: ["hvq-1"])
    monkeypatch.setattr(acts_resources.os, "sched_getaffinity", lambda _: {0, 1})
    return made


def test_each_act_takes_what_it_says(virsh: Virsh) -> None:
    for act in ("throttle", "balloon", "move-pin", "detach-nic", "add-iothread", "cpu-offline"):
        acts_resources.RESOURCE_ACTS[act]()
    assert "vcpu_quota=10000" in virsh.order("schedinfo")
    assert virsh.order("setmem")[1:3] == ("hvq-1", str(262144 * 3 // 4))
    assert ("vcpupin", "hvq-1", "0", "0", "--live") in virsh.asked
    assert "52:54:00:aa:bb:02" in virsh.order("detach-interface")
    assert virsh.order("iothreadadd")[1] == "hvq-1"
    assert '"online": false' in virsh.order("qemu-agent-command")[2]


def test_a_guest_that_has_nothing_to_take_is_an_error(virsh: Virsh) -> None:
    virsh.answers.update({"vcpupin": " 0      0-1\n", "domiflist": "", "dominfo": ""})
    virsh.answers["qemu-agent-command"] = json.dumps({"return": [{"logical-id": 0}]})
    for act in ("balloon", "move-pin", "detach-nic", "cpu-offline"):
        with pytest.raises(HvqualError):
            acts_resources.RESOURCE_ACTS[act]()


def test_a_stalled_guest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(acts_resources, "guests", lambda: ["hvq-1"])
    monkeypatch.setattr(acts_resources, "pids_of", lambda _: [77])
    monkeypatch.setattr(acts_resources.os, "kill", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr(acts_resources, "STALL", 0.05)
    acts_resources.stall_one()
    assert sent == [(77, signal.SIGSTOP), (77, signal.SIGCONT)]


@pytest.mark.parametrize(("replays", "answers"), [(True, ["first", "first"]), (False, ["Domain did as asked"] * 2)])
def test_a_lying_virsh_does_nothing_or_tells_for_ever_what_it_told_first(tmp_path, replays, answers) -> None:
    honest = tmp_path / "virsh.honest"
    honest.write_text(f"#!/bin/sh\n[ -e {tmp_path}/told ] && echo second || echo first\ntouch {tmp_path}/told\n")
    honest.chmod(0o755)
    lying = tmp_path / "virsh"
    lying.write_text(seed.LIAR)
    lying.chmod(0o755)
    told = {"HVQUAL_LIE": "domstats", "HVQUAL_LIE_DELAY": "0", "HVQUAL_REAL_VIRSH": str(honest)}
    told["HVQUAL_LIE_REPLAYS"] = str(tmp_path) if replays else ""

    def ask(*words: str) -> str:
        done = subprocess.run([str(lying), "-c", "x", *words], env=told, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert [ask("domstats", "hvq-1"), ask("domstats", "hvq-1")] == answers
    assert ask("list") == ("second" if replays else "first")


def test_an_image_is_scribbled_on_and_only_ours(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(acts_definition, "IMAGES", tmp_path)
    with pytest.raises(HvqualError, match="no image of ours"):
        acts_definition.scribble()
    for name in ("hvq-1.raw", "theirs.raw"):
        (tmp_path / name).write_bytes(bytes(acts_definition.KNOWN_AT + 1))
    acts_definition.scribble()
    assert [any((tmp_path / name).read_bytes()) for name in ("hvq-1.raw", "theirs.raw")] == [True, False]


def test_a_virsh_that_rewrites_does_its_work_with_another_file(tmp_path) -> None:
    honest, lying, asked = tmp_path / "virsh.honest", tmp_path / "virsh", tmp_path / "dimm.xml"
    honest.write_text('#!/bin/sh\ncat "$3"\n')
    lying.write_text(seed.LIAR)
    for program in (honest, lying):
        program.chmod(0o755)
    asked.write_text("<size>131072</size>")
    told = {"HVQUAL_LIE": "attach-device", "HVQUAL_LIE_DELAY": "0", "HVQUAL_REAL_VIRSH": str(honest)}
    told["HVQUAL_LIE_REWRITES"] = "s/131072/65536/"
    done = subprocess.run(
        [str(lying), "attach-device", "hvq-1", str(asked)], env=told, capture_output=True, text=True, check=True
    )
    assert done.stdout == "<size>65536</size>"


@pytest.mark.parametrize(
    ("edit", "asked", "done"),
    [
        (
            "small-pages",
            {
                "qom-type": "memory-backend-file",
                "id": "pc.ram",
                "mem-path": "/dev/hugepages",
                "prealloc": True,
                "size": 1,
            },
            {"qom-type": "memory-backend-ram", "id": "pc.ram", "size": 1},
        ),
        (
            "any-node",
            {"qom-type": "memory-backend-ram", "id": "pc.ram", "size": 1, "host-nodes": [0], "policy": "bind"},
            {"qom-type": "memory-backend-ram", "id": "pc.ram", "size": 1},
        ),
        ("any-node", {"qom-type": "secret", "policy": "bind"}, {"qom-type": "secret", "policy": "bind"}),
    ],
)
def test_a_qemu_in_the_place_of_the_real_one_changes_memory_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, edit: str, asked: dict[str, Any], done: dict[str, Any]
) -> None:
    monkeypatch.setattr(emulators, "REAL", "/bin/echo")
    path = emulators.wrapper(tmp_path, edit)
    told = subprocess.run([path, "-m", "1", "-object", json.dumps(asked)], capture_output=True, text=True, check=True)
    head, _, rest = told.stdout.partition(" -object ")
    assert (head, json.loads(rest)) == ("-m 1", done)
    assert emulators.asked(["avocado"], path)[-1] == f"hv_qemu_binary={path}"
