# SPDX-License-Identifier: GPL-2.0-or-later
"""What `node prepare` does is written down before, looked at after, done once, and taken back by `node restore`, whatever happens."""

import json
import multiprocessing
import os
import signal

import pytest

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.preparation import prepare, restore, running
from avocado_hvqual.preparation.journal import Journal
from avocado_hvqual.preparation.model import Check, Defect, Fact, Remedy, looked
from tests.preparation.worlds import door, file_check, folder_check, node


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "home", "local")


def mend(checks, journal, said=None):
    outcomes, after = prepare.prepare(node(), checks, journal, (said if said is not None else []).append)
    return [(outcome.subject, outcome.status) for outcome in outcomes], [result.answer.value for result in after]


def back(checks, journal):
    return restore.restore(journal, door, [].append, checks)


def tree(path):
    return {str(it): (it.stat().st_mode, it.read_text() if it.is_file() else "") for it in path.rglob("*")}


def test_once_mended_twice_unchanged_and_back(tmp_path, journal):
    place = tmp_path / "node"
    place.mkdir()
    (place / "old.conf").write_text("before\n")
    (place / "old.conf").chmod(0o600)
    checks = [
        folder_check(place / "made"),
        file_check(place / "old.conf", "after\n"),
        file_check(place / "deep" / "er" / "new.conf", "new\n"),
    ]
    before = tree(place)
    assert mend(checks, journal) == (
        [("folder made", "mended"), ("file old.conf", "mended"), ("file new.conf", "mended")],
        ["met"] * 3,
    )
    assert (place / "old.conf").stat().st_mode & 0o777 == 0o640
    mended, entries = tree(place), sorted(journal.folder.iterdir())
    assert mended != before
    assert mend(checks, journal) == ([], ["met"] * 3)
    assert (tree(place), sorted(journal.folder.iterdir())) == (mended, entries)
    done = back(checks, journal)
    assert (len(done.did), done.left, done.stays) == (3, [], [])
    assert tree(place) == before
    assert journal.entries() == []
    assert vars(back(checks, journal)) == {"did": [], "left": [], "stays": []}


def test_nothing_is_done_that_could_not_be_written_down(tmp_path, journal):
    journal.folder.parent.mkdir(parents=True)
    journal.folder.write_text("a file where the journal should be")
    outcomes, answers = mend([folder_check(tmp_path / "made")], journal)
    assert (outcomes, answers) == ([("folder made", "failed")], ["unmet"])
    assert not (tmp_path / "made").exists()


def test_a_file_that_is_no_text_or_a_link_is_not_written(tmp_path, journal):
    (tmp_path / "binary").write_bytes(b"\xff\x00")
    (tmp_path / "link").symlink_to(tmp_path / "binary")
    checks = [file_check(tmp_path / "binary", "x"), file_check(tmp_path / "link", "x")]
    assert mend(checks, journal)[0] == [("file binary", "failed"), ("file link", "failed")]
    assert (tmp_path / "binary").read_bytes() == b"\xff\x00"
    assert journal.entries() == []


def killed_in_the_middle(place, home):
    """mkdir, and then death between two commands of one remedy."""
    commands = (("mkdir", str(place)), ("kill", "-9", str(os.getpid())), ("touch", f"{place}/never"))
    prepare.prepare(node(), [folder_check(place, commands=commands)], Journal(home, "local"), [].append)


@pytest.mark.parametrize("done_before_death", [True, False])
def test_after_death_in_the_middle_restore_takes_back_what_was_done(tmp_path, done_before_death):
    place = tmp_path / "made"
    process = multiprocessing.get_context("fork").Process(target=killed_in_the_middle, args=(place, tmp_path / "home"))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert place.is_dir()
    if not done_before_death:
        place.rmdir()
    journal = Journal(tmp_path / "home", "local")
    assert len(journal.entries()) == 1
    done = back([folder_check(place)], journal)
    assert (done.left, len(done.did), place.exists()) == ([], 1, False)


@pytest.mark.parametrize(
    ("commands", "why"),
    [
        ((("false",),), "failed"),
        ((("no-such-command-here",),), "not installed"),
        ((("true",),), "Found not there after it"),
    ],
)
def test_a_remedy_that_does_not_help_is_told_as_failed(tmp_path, journal, commands, why):
    said = []
    outcomes, answers = mend([folder_check(tmp_path / "made", commands=commands)], journal, said)
    assert (outcomes, answers) == ([("folder made", "failed")], ["unmet"])
    assert why in said[-1]
    assert back([folder_check(tmp_path / "made")], journal).left == []


def test_a_remedy_that_shows_later_is_not_held_for_done(tmp_path, journal):
    check = folder_check(
        tmp_path / "made", commands=(("true",),), later="after a reboot", irreversible="a kernel stays"
    )
    assert mend([check], journal) == ([("folder made", "later")], ["unmet"])
    assert back([check], journal).stays == ["folder made: a kernel stays"]


def test_what_somebody_else_changed_stays_and_is_told(tmp_path, journal):
    check = file_check(tmp_path / "a.conf", "ours\n")
    mend([check], journal)
    (tmp_path / "a.conf").write_text("theirs\n")
    done = back([check], journal)
    assert (done.did, len(done.left)) == ([], 1)
    assert "neither what was found nor what was written" in done.left[0]
    assert (tmp_path / "a.conf").read_text() == "theirs\n"
    assert len(journal.entries()) == 1
    (tmp_path / "a.conf").write_text("ours\n")
    assert back([check], journal).left == []
    assert not (tmp_path / "a.conf").exists()


def test_an_undo_that_fails_is_left_unless_the_node_is_as_it_was(tmp_path, journal):
    check = folder_check(tmp_path / "made")
    mend([check], journal)
    (tmp_path / "made" / "guest").touch()
    assert "Directory not empty" in back([check], journal).left[0]
    (tmp_path / "made" / "guest").unlink()
    (tmp_path / "made").rmdir()
    assert back([check], journal).left == []


def test_one_entry_that_cannot_be_read_stops_all(tmp_path, journal):
    check = folder_check(tmp_path / "made")
    mend([check], journal)
    path = journal.entries()[0].path
    text = path.read_text()
    for broken in (text[:-20], json.dumps({**json.loads(text), "format": 2}), "[]", text.replace('"undo"', '"undoo"')):
        path.write_text(broken)
        with pytest.raises(HvqualError, match="is no entry of a preparation"):
            back([check], journal)
        assert (tmp_path / "made").is_dir()


def test_two_at_once_are_refused(journal):
    with (
        journal.held(),
        pytest.raises(HvqualError, match="Wait for it"),
        Journal(journal.folder.parents[1], "local").held(),
    ):
        pass


def test_the_journal_is_roots_alone_and_bars_nobody_from_images_beside_it(tmp_path, journal):
    old = os.umask(0o077)
    try:
        journal.keep_before({"digest": "x"})
    finally:
        os.umask(old)
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "home", tmp_path / "home/prepare/local")]
    assert modes == [0o755, 0o700]


def test_the_state_before_is_that_before_the_first_prepare(journal):
    assert journal.before() is None
    journal.keep_before({"digest": "1"})
    journal.keep_before({"digest": "2"})
    assert journal.before() == {"digest": "1"}
    journal.close()
    assert journal.before() is None
    journal.keep_before({"digest": "3"})
    assert journal.before() == {"digest": "3"}


def test_what_is_shown_is_what_is_done(tmp_path):
    result = running.ask(node(), folder_check(tmp_path / "a b"))
    ((_, _, remedy),) = prepare.steps([result])
    assert prepare.told(remedy) == [f"mkdir '{tmp_path}/a b'"]
    result = running.ask(node(), file_check(tmp_path / "c", "one\ntwo\n"))
    ((_, _, remedy),) = prepare.steps([result])
    assert prepare.told(remedy) == [f"write {tmp_path}/c (mode 0640):", "  | one", "  | two"]


def test_a_step_that_brings_the_next_to_light_is_followed_by_it(tmp_path, journal):
    """As a network that is defined, then started: the same thing is wrong in another way."""
    outer = tmp_path / "outer"

    def look(_node):
        path = outer if not outer.is_dir() else outer / "inner"
        remedy = Remedy(f"Make {path.name}.", (("mkdir", str(path)),), (("rmdir", str(path)),))
        return looked([Fact("a", 1, "b")], [] if path.is_dir() else [Defect("folders", "missing", "there", remedy)])

    check = Check("chain", "", "It matters.", look)
    assert mend([check], journal) == ([("folders", "mended"), ("folders", "mended")], ["met"])
    assert back([check], journal).left == []
    assert not outer.exists()


def test_one_remedy_for_several_defects_is_applied_once(tmp_path, journal):
    remedy = Remedy(
        "Make both.",
        (("mkdir", str(tmp_path / "a"), str(tmp_path / "b")),),
        (("rmdir", str(tmp_path / "a"), str(tmp_path / "b")),),
    )

    def look(_node):
        missing = [name for name in ("a", "b") if not (tmp_path / name).is_dir()]
        return looked([Fact("a", 1, "b")], [Defect(name, "missing", "there", remedy) for name in missing])

    check = Check("both", "", "It matters.", look)
    assert len(list(prepare.steps([running.ask(node(), check)]))) == 1
    assert mend([check], journal) == ([("a", "mended")], ["met"])


def test_what_failed_and_left_nothing_is_not_said_to_stay(tmp_path, journal):
    """As a package that could not be installed; a second `prepare` tries again, and the journal does not grow."""
    check = folder_check(tmp_path / "made", commands=(("false",),), undo=(), irreversible="a package stays")
    for _ in range(2):
        assert mend([check], journal) == ([("folder made", "failed")], ["unmet"])
    assert journal.entries() == []
    assert back([check], journal).stays == []
