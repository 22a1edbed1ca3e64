# SPDX-License-Identifier: GPL-2.0-or-later
"""How `bugs file` is used: dry runs, addresses, what is needed and what is refused."""

import subprocess
import sys

import pytest

from avocado_hvqual.errors import DefinitionError, TrackerError
from avocado_hvqual.trackers import cli
from avocado_hvqual.trackers.notes import Notes
from tests.trackers.bugzilla_server import KEY
from tests.trackers.conftest import run
from tests.trackers.desk import another_campaign


def test_a_dry_run_only_asks_and_writes_nothing(bugzilla, file, tmp_path, monkeypatch, capsys):
    assert file("--dry-run") == 0
    assert "would be filed" in capsys.readouterr().out
    assert {one["method"] for one in bugzilla.asked} == {"GET"}
    assert not (tmp_path / "notes").exists()
    assert file() == 0
    assert file("--dry-run") == 0
    assert "nothing to do; is bug 1 (NEW)" in capsys.readouterr().out
    assert file("--dry-run", folder=another_campaign(tmp_path, monkeypatch)) == 0
    assert "would be told of this campaign" in capsys.readouterr().out
    assert bugzilla.sent("POST", "PUT") == ["POST /rest/bug"]


def test_a_dry_run_needs_no_key(bugzilla, file, monkeypatch):
    monkeypatch.delenv("AVOCADO_HVQUAL_BUGZILLA_API_KEY")
    assert file("--dry-run") == 0
    with pytest.raises(TrackerError, match="There is no API key"):
        file()
    assert bugzilla.sent("POST") == []


@pytest.mark.parametrize(
    "url",
    [
        "bugs.example",
        "ftp://x",
        f"https://me:{KEY}@x",
        f"https://x/?Bugzilla_api_key={KEY}",
        "https://",
        "https://me:secret@bugs.example.org",
        "https://x:port",
    ],
)
def test_a_wrong_address_is_refused_without_repeating_it(file, url):
    with pytest.raises(TrackerError, match="has to be the address of a Bugzilla") as caught:
        file(url=url)
    assert KEY not in str(caught.value)


def test_a_key_goes_over_no_open_line(file, tmp_path):
    with pytest.raises(TrackerError, match="unencrypted"):
        file(url="http://bugs.example.org")


def test_python_bugzilla_is_asked_for_only_where_it_is_needed(file, campaign, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "bugzilla", None)
    assert run("bugs", "draft", campaign) == 0
    with pytest.raises(TrackerError, match=r"pip install 'avocado-hvqual\[bugzilla\]'"):
        file()


def test_no_library_of_the_tracker_is_loaded_by_the_verbs():
    program = "import sys, avocado_hvqual.trackers.cli as c; sys.exit(bool({'bugzilla', 'requests', 'urllib3'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_product_is_needed(campaign, bugzilla):
    with pytest.raises(DefinitionError, match="needs a product"):
        run("bugs", "file", campaign, "--url", bugzilla.url)


@pytest.mark.parametrize(
    "words", [("--timeout", "0"), ("--timeout", "nan"), ("--settle", "-1"), ("--fingerprint", "x")]
)
def test_wrong_usage_is_2(file, words):
    with pytest.raises(SystemExit) as caught:
        file(*words)
    assert caught.value.code == 2


def test_one_refusal_does_not_keep_the_next_one_back_and_three_do(bugzilla, capsys):
    class Drafted:
        def __init__(self, number):
            self.fingerprint, self.known, self.sighting = f"hv1-{number:012x}", "", "x"

    class Refusing:
        notes = Notes(cli.default_folder(), bugzilla.url)

        def carry_out(self, draft, _note):
            tried.append(draft.fingerprint)
            raise error

    tried, error = [], cli.RefusedError("no")
    assert cli._each([Drafted(number) for number in range(5)], Refusing(), dry=False) == 60
    assert len(tried) == 3
    assert "2 reports more not tried" in capsys.readouterr().err


def test_what_the_ledger_knows_is_not_filed(bugzilla, file, tmp_path, capsys):
    ledger = tmp_path / "issues.yaml"
    ledger.write_text(
        "issues:\n- {id: K-1, bug: 'https://bugs.example/7', owner: ops, state: open, signature: {pattern: guest_ready}}\n",
        encoding="utf-8",
    )
    assert file("--ledger", ledger) == 0
    assert "is known in the ledger as https://bugs.example/7; not filed" in capsys.readouterr().out
    assert bugzilla.bugs == {}
