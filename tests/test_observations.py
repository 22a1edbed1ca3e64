# SPDX-License-Identifier: GPL-2.0-or-later
"""The test's own file: read whole, torn at the end at most, anything else named by file and line."""

import json

import jsonschema
import pytest

from avocado_hvqual import load
from avocado_hvqual.errors import JournalError
from avocado_hvqual.model.observation import Step
from avocado_hvqual.observations import FILE, read
from tests.strategies import lines_of, trace

EXTRA = [
    {"kind": "criterion", "observation": "guest_ready", "limit": "max <= 10 s", "answer": "met"},
    {"kind": "evidence", "name": "console", "path": "evidence/console.log", "sha256": "0" * 64, "about": "it"},
    {"kind": "capability", "name": "vhost_net", "ok": False, "reason": "no /dev/vhost-net"},
    {"kind": "step", "name": "start", "vm": None, "phase": "begin"},
    {"kind": "seed", "seed": "12345", "about": "the walk"},
    {"kind": "problem", "what": "wrong-text", "message": "typo", "vm": None},
    {"kind": "undo", "action": "a", "status": "done", "message": "m"},
]


def written(tmp_path, lines, tail=""):
    path = tmp_path / FILE
    text = "".join(json.dumps({**line, "seq": number, "mono": 1.0}) + "\n" for number, line in enumerate(lines))
    path.write_text(text + tail, encoding="utf-8")
    return path


def test_a_whole_file_is_read(tmp_path):
    lines = lines_of(trace())
    lines[2:2] = EXTRA
    found = read(written(tmp_path, lines), "job/1")
    assert (found.case, found.status, found.torn) == (trace().case, "pass", False)
    assert [(one.name, one.value, one.unit) for one in found.observations] == [("guest_ready", 2.5, "s")]
    assert found.evidence[0].path == "job/1/evidence/console.log"
    assert found.capabilities[0].name == "vhost_net"
    assert found.open_steps == ("start",)
    assert found.problems[0].what == "wrong-text"
    assert found.criteria == (("guest_ready", "max <= 10 s", "met"),)
    assert (found.digest_before, found.digest_after) == ("aa", "aa")


def stepped(*steps):
    """Lines of a test with these (name, fields, phase), one a second."""
    lines = lines_of(trace())
    lines[2:2] = [{"kind": "step", "name": name, "phase": phase, **fields} for name, fields, phase in steps]
    return lines


def timed(tmp_path, lines):
    path = tmp_path / FILE
    numbered = ({**line, "seq": number, "mono": 100.0 + number} for number, line in enumerate(lines))
    path.write_text("".join(json.dumps(line) + "\n" for line in numbered), encoding="utf-8")
    return read(path)


def test_steps_of_several_vms_at_a_time(tmp_path):
    one, two = {"vm": "hvq-1"}, {"vm": "hvq-2"}
    every = (("start", one, "begin"), ("start", two, "begin"), ("start", one, "end"), ("hold", {"vm": None}, "begin"))
    found = timed(tmp_path, stepped(*every))
    assert found.steps == (
        Step("start", "hvq-1", 102.0, 104.0),
        Step("start", "hvq-2", 103.0, None),
        Step("hold", None, 105.0, None),
    )
    assert found.open_steps == ("start hvq-2", "hold")
    assert (found.mono, found.mono_last, found.seconds) == (100.0, 108.0, 8.0)


def test_a_step_within_a_step_of_its_name(tmp_path):
    every = (("start", {"vm": None}, phase) for phase in ("begin", "begin", "end", "end"))
    assert [(step.begin, step.end) for step in timed(tmp_path, stepped(*every)).steps] == [(102, 105), (103, 104)]


def test_an_old_record_has_the_vm_in_the_steps_name(tmp_path):
    found = timed(tmp_path, stepped(("shut down hvq-1f-2", {}, "begin"), ("shut down hvq-1f-2", {}, "end")))
    assert found.steps == (Step("shut down", "hvq-1f-2", 102.0, 103.0),)


def test_a_name_is_left_alone_where_the_vm_has_a_field(tmp_path):
    found = timed(tmp_path, stepped(("restart hvq-1", {"vm": None}, "begin")))
    assert (found.steps[0].name, found.steps[0].vm) == ("restart hvq-1", None)


def test_labels_seeds_and_the_time_of_a_problem(tmp_path):
    lines = lines_of(trace())
    lines[2]["label"] = "small"
    lines[2:2] = EXTRA
    found = timed(tmp_path, lines)
    assert [one.label for one in found.observations] == ["small"]
    assert found.seeds == (("12345", "the walk"),)
    assert found.problems[0].mono == 107.0


def test_each_kind_of_line_fits_the_published_schema():
    validator = jsonschema.Draft7Validator(load.schema("observations"))
    lines = lines_of(trace()) + EXTRA
    for number, line in enumerate(lines):
        validator.validate({**line, "seq": number, "mono": 1.0})
    assert {line["kind"] for line in lines} == {
        v["properties"]["kind"]["const"] for v in load.schema("observations")["oneOf"]
    }


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_torn_tail_is_a_killed_test(tmp_path, cut):
    path = written(tmp_path, lines_of(trace()))
    path.write_bytes(path.read_bytes()[:-cut])
    found = read(path)
    assert (found.torn, found.status) == (True, None)


def test_a_file_whose_first_line_is_torn_says_that_nothing_began(tmp_path):
    path = tmp_path / FILE
    for text in ("", '{"kind": "beg'):
        path.write_text(text, encoding="utf-8")
        assert read(path) is None


def without(index):
    return lambda lines: lines.pop(index)


def changed(index, **fields):
    return lambda lines: lines[index].update(fields)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (changed(2, value=None), 3),
        (changed(2, value=[1]), 3),
        (changed(2, value=float("nan")), 3),
        (changed(2, value=float("inf")), 3),
        (changed(2, name=7), 3),
        (changed(2, unit=None), 3),
        (changed(2, samples=True), 3),
        (changed(2, kind="opinion"), 3),
        (changed(2, kind=[]), 3),
        (changed(2, kind=None), 3),
        (changed(2, kind="step", phase="end"), 3),
        (changed(2, kind="step", phase="begin", vm=7), 3),
        (changed(2, kind="seed", seed=12345, about="a number is no text"), 3),
        (changed(2, label=7), 3),
        (changed(0, wall=float("inf")), 1),
        (changed(0, wall=1e15), 1),
        (changed(2, kind="problem", what="bad luck", message=""), 3),
        (changed(2, kind="evidence", path="../../etc/passwd", sha256="", about=""), 3),
        (changed(2, kind="evidence", path="/etc/passwd", sha256="", about=""), 3),
        (changed(4, status="fine"), 5),
        (changed(0, case=None), 1),
        (changed(0, scale=[]), 1),
        (changed(1, kind="begin"), 2),
        (without(0), 1),
    ],
)
def test_a_wrong_line_is_named(tmp_path, change, line):
    lines = lines_of(trace())
    change(lines)
    with pytest.raises(JournalError, match=rf"{FILE}:{line}: "):
        read(written(tmp_path, lines))


@pytest.mark.parametrize("mono", [float("nan"), float("inf"), 10**400, "1", True])
@pytest.mark.parametrize("place", [0, 1, 2, 4])
def test_a_time_that_is_none_is_named(tmp_path, mono, place):
    lines = lines_of(trace())
    lines[place]["mono"] = mono
    (tmp_path / FILE).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with pytest.raises(JournalError, match=rf"{FILE}:{place + 1}: "):
        read(tmp_path / FILE)


@pytest.mark.parametrize("order", [[0, 1, 3, 4], [0, 1, 2, 2, 3, 4], [0, 2, 1, 3, 4]])
def test_lost_doubled_and_moved_lines_are_named(tmp_path, order):
    lines = lines_of(trace())
    (tmp_path / FILE).write_text("".join(json.dumps(lines[place]) + "\n" for place in order), encoding="utf-8")
    with pytest.raises(JournalError, match="lost, doubled or moved"):
        read(tmp_path / FILE)


def test_nothing_follows_the_end(tmp_path):
    lines = lines_of(trace())
    with pytest.raises(JournalError, match="nothing follows"):
        read(written(tmp_path, [*lines, lines[2]]))


def test_garbage_is_named(tmp_path):
    path = tmp_path / FILE
    path.write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(JournalError, match=f"{FILE}:1: not JSON"):
        read(path)
    path.unlink()
    with pytest.raises(JournalError, match="cannot be read"):
        read(path)


@pytest.mark.parametrize("text", ["{} {}", '{"kind": "end"}, {}', "", "7", "[]", "{", "[" * 100_000])
def test_what_is_not_one_object_a_line_is_named(tmp_path, text):
    path = written(tmp_path, lines_of(trace())[:2], f"{text}\n")
    with pytest.raises(JournalError, match=r"observations.jsonl:3: "):
        read(path)


def test_blanks_around_a_line_change_nothing(tmp_path):
    path = written(tmp_path, lines_of(trace()))
    whole = read(path)
    path.write_text("".join(f"  {line} \n" for line in path.read_text(encoding="utf-8").splitlines()), encoding="utf-8")
    assert read(path) == whole
