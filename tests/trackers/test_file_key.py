# SPDX-License-Identifier: GPL-2.0-or-later
"""The key of a Bugzilla shows in no output, log or file, and goes nowhere but there."""

import json
import logging

import pytest

from tests.trackers.bugzilla_server import KEY, FakeBugzilla
from tests.trackers.conftest import run
from tests.trackers.desk import POST


@pytest.mark.parametrize("auth", ["header", "query", "bearer"])
@pytest.mark.parametrize(
    "fault",
    [
        None,
        {"status": 500},
        {"status": 401, "text": f"no: {KEY}"},
        {"status": 400, "text": json.dumps({"error": True, "code": 306, "message": f"{KEY} is wrong"})},
        {"text": KEY},
        {"drop": True},
    ],
)
def test_the_key_is_in_no_output_no_log_and_no_file(campaign, tmp_path, auth, fault, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    server = FakeBugzilla(auth)
    try:
        if fault:
            server.faults[POST] = fault
        config = tmp_path / "bugs.yaml"
        config.write_text(f"product: Hypervisor\nauth: {auth}\n", encoding="utf-8")
        status = run("bugs", "file", campaign, "--url", server.url, "--tracker", config, "--notes", tmp_path / "notes")
    finally:
        server.close()
    assert (status == 0) is (fault is None)
    said = capsys.readouterr()
    files = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    forms = {KEY, "s3cr3t%2FKey", "s3cr3t/Key"}
    assert "urllib3" in {record.name.partition(".")[0] for record in caplog.records}, "else nothing was looked at"
    for text in (said.out, said.err, caplog.text, files):
        assert not [form for form in forms if form in text]


def test_no_other_credentials_are_sent(bugzilla, file, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert file() == 0
    assert bugzilla.asked
    assert not [one for one in bugzilla.asked if "Authorization" in one["headers"] or "Cookie" in one["headers"]]


def test_the_key_is_no_argument(capsys):
    with pytest.raises(SystemExit):
        run("bugs", "file", "--help")
    assert "api-key-file" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        run("bugs", "file", "x", "--url", "http://127.0.0.1", "--api-key", KEY)
    assert caught.value.code == 2
    assert KEY not in capsys.readouterr().err
