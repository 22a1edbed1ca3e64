# SPDX-License-Identifier: GPL-2.0-or-later
"""A Bugzilla on loopback, a campaign with two faults on disk, and the command as a user types it."""

import argparse
import json

import pytest

from avocado_hvqual.trackers import cli
from avocado_hvqual.trackers import key as api_key
from tests import strategies as make
from tests.trackers.bugzilla_server import KEY, FakeBugzilla


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    """No proxy, no key and no home of the machine that the tests run on."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(api_key.VARIABLE, KEY)
    monkeypatch.setenv("AVOCADO_HVQUAL_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()


@pytest.fixture
def bugzilla():
    server = FakeBugzilla()
    yield server
    server.close()


@pytest.fixture
def campaign(tmp_path, monkeypatch):
    """A campaign of one case that broke its limit, with the shipped policy less its required table."""
    monkeypatch.setattr("avocado_hvqual.load.load_policy", lambda _path=None: make.POLICY)
    return broken(tmp_path / "campaign")


def broken(folder, value=11.0):
    """A whole campaign whose guest took too long; its evidence is there."""
    make.write_campaign(folder)
    logdir = folder / "job/test-results/1-start"
    lines = make.lines_of(make.trace(values=(value,)))
    (logdir / "evidence").mkdir()
    (logdir / "evidence/console.log").write_text("slow\n", encoding="utf-8")
    lines.insert(
        3, {"kind": "evidence", "name": "console", "path": "evidence/console.log", "sha256": "0" * 64, "about": "x"}
    )
    (logdir / "observations.jsonl").write_text(
        "".join(json.dumps({**line, "seq": number, "mono": 1.0}) + "\n" for number, line in enumerate(lines)),
        encoding="utf-8",
    )
    return folder


def run(*words):
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers(dest="verb", required=True))
    return cli.run(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def file(bugzilla, campaign, tmp_path):
    """`bugs file` for the campaign on the server."""

    def command(*more, url=None, folder=None):
        where = ("--url", url or bugzilla.url, "--product", "Hypervisor", "--notes", tmp_path / "notes")
        return run("bugs", "file", folder or campaign, *where, "--today", "2026-11-21", *more)

    return command


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
