# SPDX-License-Identifier: GPL-2.0-or-later
"""What a campaign still has to run, on which node and by which plan; the unit; builds by their files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avocado_hvqual import node, replan
from avocado_hvqual.campaign import around, build_files, continuing, facts, unit
from avocado_hvqual.campaign.journal import Journal
from avocado_hvqual.errors import HvqualError
from avocado_hvqual.health import identity
from avocado_hvqual.model.case import CaseKey
from avocado_hvqual.model.plan import Plan
from avocado_hvqual.model.record import ParameterChange
from avocado_hvqual.profiles import load as profile
from tests import strategies as make
from tests.strategies import START, STOP

CUT = {"status": None}
HAND = {"status": "INTERRUPTED"}
KILLED = {"status": "INTERRUPTED", "fail_class": "HvqualWatchdog"}
GOOD = {"status": "PASS", "watched": True}
UNSEEN = {"status": "PASS"}
ERROR = {"status": "ERROR"}


def left(*tries: dict[str, Any], repeat: int = 1, **changes: Any) -> str:
    attempts = [make.attempt(START, **one) for one in tries]
    found = continuing.missing(
        make.record(*attempts, make.attempt(STOP, watched=True), cases=[START, STOP], **changes), repeat
    )
    assert STOP not in found.todo
    return "todo" if START in found.todo else "given up" if found.given_up else "done"


@pytest.mark.parametrize(
    ("tries", "said"),
    [
        ([], "todo"),
        ([GOOD], "done"),
        ([ERROR], "done"),
        ([KILLED], "done"),
        ([CUT], "todo"),
        ([CUT, CUT], "given up"),
        ([CUT, GOOD], "done"),
        ([GOOD, CUT], "todo"),
        ([GOOD, CUT, CUT], "given up"),
        ([CUT, GOOD, CUT], "todo"),
        ([HAND], "todo"),
        ([HAND, HAND, HAND], "todo"),
        ([HAND, CUT], "todo"),
        ([UNSEEN], "todo"),
        ([UNSEEN, UNSEEN], "given up"),
        ([UNSEEN, GOOD], "done"),
    ],
)
def test_what_is_left_of_a_case(tries: list[dict[str, Any]], said: str) -> None:
    assert left(*tries) == said


def test_how_often_is_said_by_the_operator() -> None:
    assert [left(CUT, repeat=number) for number in (0, 1)] == ["given up", "todo"]
    assert [left(CUT, CUT, repeat=number) for number in (1, 2)] == ["given up", "todo"]


def test_of_a_node_whose_health_is_in_doubt_for_good_another_try_changes_nothing() -> None:
    assert left(UNSEEN, doubts=(("", "the watcher died"),)) == "done"


@given(st.lists(st.sampled_from([CUT, HAND, KILLED, GOOD, UNSEEN, ERROR]), max_size=6), st.integers(0, 3))
def test_it_ends_some_day(tries: list[dict[str, Any]], repeat: int) -> None:
    """However often the node breaks on a case, after so many times it is left."""
    assert left(*tries, *[CUT] * (repeat + 1), repeat=repeat) == "given up"


class Runnable:
    def __init__(self, **kwargs: str) -> None:
        self.kwargs = kwargs


class Entry:
    def __init__(self, **changes: Any) -> None:
        self.planned = make.planned(START, **changes)
        self.runnable = Runnable(hv_rounds="3", hv_rounds_smoke="3", hv_id="x")


def again(entry: Any, planned: Any = None, given: tuple[ParameterChange, ...] = ()) -> Any:
    plan = Plan("smoke", (planned or make.planned(START),), (make.row(START), make.row(STOP)))
    cases = {CaseKey.parse(START): entry} if entry else {}
    return replan.again(plan, profile("smoke"), cases, given, part=True)


def test_the_plan_of_the_journal_is_what_runs() -> None:
    entry = Entry()
    planned = make.planned(START, params={"hv_rounds": "7"})
    made = again(entry, planned, (ParameterChange("qemu_binary", "/opt/qemu", "", START),))
    kwargs = made.cases[0].runnable.kwargs
    assert (kwargs["hv_rounds"], kwargs["hv_rounds_smoke"], kwargs["hv_profile"]) == ("7", "7", "smoke")
    assert kwargs["qemu_binary"] == "/opt/qemu"
    assert (made.part, [str(key) for _phase, key in made.missing]) == (True, [STOP])
    assert made.plan == Plan("smoke", (planned,), (make.row(START), make.row(STOP)))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (None, f"There is no case '{START}' any more"),
        (
            Entry(limits={"guest_ready": "max <= 12 s"}),
            "had the limit 'max <= 10 s' on 'guest_ready' and has 'max <= 12 s'",
        ),
        (Entry(limits={}), "had the limit 'max <= 10 s' on 'guest_ready' and has 'none'"),
        (Entry(observations=("guest_ready", "more")), "had observations 'guest_ready' and has 'guest_ready more'"),
        (Entry(timeout=1.0), "had timeout '300.0' and has '1.0'"),
        (Entry(components=()), "had components 'qemu libvirt'"),
        (Entry(params={"hv_rounds": "3", "hv_new": "1"}), "now has the parameter 'hv_new'"),
        (Entry(params={}), "has lost the parameter 'hv_rounds'"),
    ],
)
def test_cfgs_that_ask_something_else_are_refused_by_name(entry: Any, said: str) -> None:
    with pytest.raises(HvqualError, match="no longer hold the campaign's plan") as refused:
        again(entry)
    assert said in str(refused.value)


def test_a_script_in_the_place_of_qemu_counts_with_what_it_runs(tmp_path: Path) -> None:
    qemu, script = tmp_path / "qemu", tmp_path / "script"
    qemu.write_bytes(b"\x7fELF one")
    script.write_text(f"#!/bin/sh\nexec '{qemu}' \"$@\"\n", encoding="utf-8")
    one = build_files.of_qemu(str(script))
    assert len(one) == build_files.SHOWN
    qemu.write_bytes(b"\x7fELF two")
    assert build_files.of_qemu(str(script)) not in {one, build_files.of_qemu(str(qemu))}
    assert build_files.of_qemu(str(tmp_path / "none")) == ""


def test_a_kernel_is_known_by_what_its_linker_wrote(tmp_path: Path) -> None:
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel" / "notes").write_bytes(b"one")
    one = build_files.of_kernel(tmp_path)
    kvm = tmp_path / "module" / "kvm" / "notes"
    kvm.mkdir(parents=True)
    (kvm / ".note.gnu.build-id").write_bytes(b"patched")
    assert len({one, build_files.of_kernel(tmp_path), ""}) == 3


def test_a_library_of_libvirt_that_was_patched_is_another_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon, library = tmp_path / "libvirtd", tmp_path / "libvirt.so.0"
    driver = tmp_path / "libvirt" / "connection-driver" / "libvirt_driver_qemu.so"
    driver.parent.mkdir(parents=True)
    for path in (daemon, library, driver):
        path.write_bytes(b"one")
    monkeypatch.setattr(build_files.shutil, "which", lambda name: str(daemon) if name == "libvirtd" else None)
    monkeypatch.setattr(build_files, "_libraries", lambda _program: f"\tlibvirt.so.0 => {library} (0x1)\n")
    found = {build_files.of_libvirt()}
    for path in (daemon, library, driver):
        path.write_bytes(b"two")
        found.add(build_files.of_libvirt())
    assert len(found - {""}) == 4
    monkeypatch.setattr(build_files.shutil, "which", lambda _name: None)
    assert build_files.of_libvirt() == ""


def test_versions_tell_the_builds_of_this_machine() -> None:
    assert {"kernel", "kernel-build", "qemu", "qemu-build", "libvirt", "libvirt-build"} <= set(facts.versions())
    assert facts.versions() == facts.versions()


def test_the_unit_calls_this_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(unit.HOME_VARIABLE, raising=False)
    shipped = unit.FILE.read_text(encoding="utf-8")
    assert "ExecStart=/usr/bin/env avocado hvqual resume\n" in shipped
    monkeypatch.setattr(unit.sys, "executable", "/opt/a b/50%/python")
    assert 'ExecStart="/opt/a b/50%%/python" -m avocado hvqual resume\n' in unit.text()
    monkeypatch.setenv(unit.HOME_VARIABLE, "/srv/state")
    assert "[Service]\nEnvironment=AVOCADO_HVQUAL_HOME=/srv/state\n" in unit.text()


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The node's state as one item, which the test changes."""
    items: dict[str, list[str]] = {"links": ["lo"]}

    def capture() -> node.State:
        whole = {"digest": str(items), "items": {name: list(lines) for name, lines in items.items()}}
        return node.State(whole["digest"], whole)

    def diff(before: node.State, after: node.State) -> list[str]:
        return sorted(
            f"links: +{line}" for line in set(after.whole["items"]["links"]) - set(before.whole["items"]["links"])
        )

    monkeypatch.setattr(node, "capture", capture)
    monkeypatch.setattr(node, "diff", diff)
    monkeypatch.setattr(node, "replay", lambda *_: {"left": [], "tainted": []})
    return items


def differences(folder: Path) -> list[str]:
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    return lines[-1]["data"]["differences"]


@pytest.mark.parametrize(("boot", "seen"), [("boot-1", ["links: +virbr9"]), ("boot-2", [])])
def test_what_a_killed_campaign_left_is_held_against_the_node_as_it_found_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: dict[str, list[str]], boot: str, seen: list[str]
) -> None:
    monkeypatch.setattr(identity, "boot", lambda: "boot-1")
    make_journal(tmp_path).close()
    around._before(tmp_path)
    state["links"].append("virbr9")
    monkeypatch.setattr(identity, "boot", lambda: boot)
    with Journal.open(tmp_path) as journal, around.unchanged(journal):
        pass
    assert differences(tmp_path) == seen
    assert not (tmp_path / around.BEFORE).exists()


def test_a_state_that_was_cut_off_while_it_was_written_is_taken_anew(
    tmp_path: Path, state: dict[str, list[str]]
) -> None:
    (tmp_path / around.BEFORE).write_text('{"boot_id": "', encoding="utf-8")
    with make_journal(tmp_path) as journal, around.unchanged(journal):
        state["links"].append("tap0")
    assert differences(tmp_path) == ["links: +tap0"]


def make_journal(folder: Path) -> Journal:
    head = make.header()
    fields = ("id", "profile", "selection", "lab", "node", "command", "versions")
    return Journal.create(folder, {name: getattr(head, name) for name in fields})


def test_the_node_is_known_by_name_and_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    past = continuing.Past(None, (), make.record())  # type: ignore[arg-type]
    here = {"id": "node-7", "hostname": "h", "machine_id": ""}
    past = past._replace(folder=continuing.Folder(tmp_path, "c"))
    monkeypatch.setattr(facts, "node", lambda: here)
    continuing.demand_same_node(past)
    continuing.demand_same_node(
        past._replace(record=replace(past.record, header=make.header(node={**here, "machine_id": "m"})))
    )
    for other in ({**here, "id": ""}, {**here, "id": "node-8"}):
        monkeypatch.setattr(facts, "node", lambda other=other: other)
        with pytest.raises(HvqualError, match="campaign of the node 'node-7'"):
            continuing.demand_same_node(past)
