# SPDX-License-Identifier: GPL-2.0-or-later
"""Log signatures: found in a finding's own, unchanged evidence and nowhere else, whatever a guest wrote there."""

import hashlib
import os
from dataclasses import replace

import pytest

from avocado_hvqual import log_search
from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.ledger import Entry, Ledger
from avocado_hvqual.ledger_logs import looked_up
from avocado_hvqual.model.observation import Evidence, Problem
from avocado_hvqual.model.record import HealthEvent, Vouched
from avocado_hvqual.model.verdict import Verdict
from tests.strategies import START, STOP, TODAY, attempt, judged, record, trace

ENTRY = Entry(
    "K-1",
    "https://bugs.example/1",
    "ops",
    pattern="did not answer",
    log=r"virtio_net: queue \d+ stuck",
    waiver_reason="r",
    waiver_expires=TODAY,
    where="issues.yaml:2",
)
TEXT = b"boot\nvirtio_net: queue 3 stuck\r\nlogin:"
PATH = "results/evidence/console.log"


def evidence(path=PATH, data=TEXT):
    return Evidence("console", path, hashlib.sha256(data).hexdigest(), "what it said")


def campaign(*keys, kept=None, **changes):
    problem = Problem("wrong-result", "The VM did not answer.")
    own = kept or (evidence(),)
    tries = [attempt(key, trace=trace(key, problems=(problem,), evidence=own)) for key in keys or (START,)]
    return record(*tries, **changes)


def write(folder, data=TEXT, path=PATH):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data)


def found(folder, made, entry=ENTRY, seconds=20):
    return judged(made, ledger=looked_up(Ledger((entry,)), made, folder, seconds))


def test_a_log_signature_is_found_and_said_where(tmp_path):
    write(tmp_path)
    it = found(tmp_path, campaign())
    assert (it.verdict, it.stale) == (Verdict.QUALIFIED_WITH_WAIVERS, ())
    assert f"was found in '{PATH}'" in it.findings[0].notes[0]


@pytest.mark.parametrize("data", [b"", b"virtio_net: queue x stuck", b"virtio_net: queue 3\n stuck"])
def test_a_log_that_does_not_say_it_is_another_issue(tmp_path, data):
    write(tmp_path, data)
    it = found(tmp_path, campaign(kept=(evidence(data=data),)))
    assert (it.verdict, len(it.stale), it.notes) == (Verdict.NOT_QUALIFIED, 1, ())


def test_the_message_has_to_fit_as_well(tmp_path):
    write(tmp_path)
    assert found(tmp_path, campaign(), replace(ENTRY, pattern="rebooted")).verdict is Verdict.NOT_QUALIFIED


def test_a_log_expression_that_nobody_looked_up_knows_nothing():
    assert judged(campaign(), ledger=Ledger((ENTRY,))).verdict is Verdict.NOT_QUALIFIED


def test_evidence_of_another_case_does_not_count(tmp_path):
    write(tmp_path)
    silent = evidence("results/evidence/other.log", b"nothing")
    write(tmp_path, b"nothing", silent.path)
    problem = Problem("wrong-result", "The VM did not answer.")
    made = record(
        attempt(START, trace=trace(START, problems=(problem,), evidence=(evidence(),))),
        attempt(STOP, trace=trace(STOP, problems=(problem,), evidence=(silent,))),
    )
    assert {one.case: one.is_open for one in found(tmp_path, made).findings} == {START: False, STOP: True}


def test_changed_evidence_is_not_believed_and_told(tmp_path):
    write(tmp_path, TEXT + b"\nadded by hand")
    it = found(tmp_path, campaign())
    assert it.verdict is Verdict.NOT_QUALIFIED
    assert f"'{PATH}' was not searched" in it.notes[0]
    assert "changed since" in it.notes[0]


def _missing(folder):
    return "No such file"


def _fifo(folder):
    (folder / PATH).parent.mkdir(parents=True)
    os.mkfifo(folder / PATH)
    return "no regular file"


def _folder(folder):
    (folder / PATH).mkdir(parents=True)
    return "Is a directory"


def _escape(folder):
    (folder.parent / "secret").write_bytes(TEXT)
    (folder / PATH).parent.mkdir(parents=True)
    (folder / PATH).symlink_to(folder.parent / "secret")
    return "outside the campaign's folder"


def _huge(folder):
    write(folder, b"")
    with (folder / PATH).open("r+b") as file:
        file.truncate(log_search.LARGEST + 1)
    return "bytes, and"


@pytest.mark.parametrize("make", [_missing, _fifo, _folder, _escape, _huge])
def test_what_is_no_plain_file_of_the_campaign_is_told(tmp_path, make):
    folder = tmp_path / "campaign"
    folder.mkdir()
    said = make(folder)
    it = found(folder, campaign())
    assert it.verdict is Verdict.NOT_QUALIFIED
    assert said in it.notes[0]


def test_hostile_bytes_hide_nothing(tmp_path):
    data = b"\x00\xff\xfe\x1b[2J\xe2\x80\xae\n" * 1000 + TEXT
    write(tmp_path, data)
    assert found(tmp_path, campaign(kept=(evidence(data=data),))).verdict is Verdict.QUALIFIED_WITH_WAIVERS


def test_only_the_beginning_of_an_endless_line_is_looked_at(tmp_path):
    data = b"x" * log_search.LONGEST + b" virtio_net: queue 3 stuck"
    write(tmp_path, data)
    assert found(tmp_path, campaign(kept=(evidence(data=data),))).verdict is Verdict.NOT_QUALIFIED


def test_an_expression_without_end_is_refused_with_its_line(tmp_path):
    data = b"a" * 4000 + b"\n"
    write(tmp_path, data * 20)
    slow = replace(ENTRY, log=r"a*a*a*a*a*b")
    with pytest.raises(
        DefinitionError, match=r"issues.yaml:2: the log expression of 'K-1' did not come to an end over"
    ):
        found(tmp_path, campaign(kept=(evidence(data=data * 20),)), slow, seconds=1)


KERNEL = (
    "6,1,10,-;virtio_net: queue 1 stuck\n"
    f"6,2,11,-;hvqual: begin {START} t1\n"
    "3,3,12,-;oops\n"
    f"6,4,13,-;hvqual: end {START} t1\n"
    f"6,5,14,-;hvqual: begin {STOP} t2\n"
    "3,6,15,-;virtio_net: queue 9 stuck\n"
    f"6,7,16,-;hvqual: end {STOP} t2\n"
).encode()


def kernel(folder, data=KERNEL, size=None):
    (folder / "kernel.log").write_bytes(data)
    return Vouched("kernel.log", len(KERNEL) if size is None else size, hashlib.sha256(KERNEL[:size]).hexdigest())


def troubled(vouched):
    events = tuple(
        HealthEvent("host-log", "The host did not answer.", "kernel.log", case) for case in (START, STOP, "")
    )
    return record(attempt(START), attempt(STOP), health=events, vouched=(vouched,))


def waived(it):
    return {one.case for one in it.findings if not one.is_open}


def test_of_the_kernel_log_a_case_has_only_its_own_part(tmp_path):
    assert waived(found(tmp_path, troubled(kernel(tmp_path)))) == {STOP, ""}


def test_the_kernel_log_counts_as_far_as_the_journal_vouches_for_it(tmp_path):
    later = KERNEL + b"3,8,17,-;virtio_net: queue 9 stuck\n"
    assert waived(found(tmp_path, troubled(kernel(tmp_path, later)))) == {STOP, ""}
    part = KERNEL.index(b"3,6,15")
    assert waived(found(tmp_path, troubled(kernel(tmp_path, later, part)))) == {""}
    changed = found(tmp_path, troubled(kernel(tmp_path, KERNEL.replace(b"oops", b"fine"))))
    assert waived(changed) == set()
    assert any("'kernel.log' was not searched" in note for note in changed.notes)


def test_without_a_log_expression_no_file_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(log_search, "__file__", "/nonexistent")
    ledger = Ledger((replace(ENTRY, log=""),))
    assert looked_up(ledger, campaign(), tmp_path) is ledger
