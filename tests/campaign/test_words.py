# SPDX-License-Identifier: GPL-2.0-or-later
"""The words of the command line, and the node that they are said on."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import pytest

from avocado_hvqual.campaign import cli, host_watch
from avocado_hvqual.errors import HvqualError

pytestmark = pytest.mark.usefixtures("home")


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers(dest="verb", required=True))
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--profile", "smok"), "There is no profile 'smok'"),
        (("plan", "--profile", "production", "--param", "nothing"), "--param takes NAME=VALUE"),
        (("run", "--profile", "smoke", "--accept", "INCOMPLETE"), "INCOMPLETE"),
        (("run", "--profile", "smoke", "--accept", ""), "--accept takes"),
    ],
)
def test_wrong_words_are_one_sentence(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(HvqualError, match=said):
        cli.run(parsed(*words))


def test_a_profile_is_needed_to_run() -> None:
    with pytest.raises(SystemExit):
        parsed("run")


def test_in_the_lab_the_hosts_own_cgroups_are_known(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host_watch.own_cgroups() == ()
    monkeypatch.setenv("HVQUAL_HOST_ID", "hv-a")
    assert host_watch.own_cgroups() == (), "where it cannot be read every line counts"
    config = {
        "hierarchies": [{"mount": "/sys/fs/cgroup/memory"}, {"mount": "/sys/fs/cgroup/cpu"}],
        "cgroup_folders": ["/sys/fs/cgroup/memory/lab/hv-a", "/sys/fs/cgroup/cpu/lab/hv-a"],
    }
    (home / "lab" / "hv-a").mkdir(parents=True)
    (home / "lab" / "hv-a" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert host_watch.own_cgroups() == ("/lab/hv-a",)


def test_the_lab_without_root_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HvqualError, match="root"):
        cli.run(parsed("run", "--lab", "--profile", "smoke"))
