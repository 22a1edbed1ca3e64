# SPDX-License-Identifier: GPL-2.0-or-later
"""A source is got at the ref that was asked for, and named by what it really is."""

import subprocess

import pytest

from avocado_hvqual.builds import source
from avocado_hvqual.builds.source import Wanted
from avocado_hvqual.errors import BuildError
from avocado_hvqual.images.golden import archive
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.workshop import digest
from avocado_hvqual.lab.tools import find

WHO = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]


def git(folder, *words):
    return subprocess.run(
        ["git", *WHO, "-C", str(folder), *words], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """Two commits on main, and a branch at the first one."""
    if find("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for text in ("one", "two"):
        (folder / "file").write_text(text)
        git(folder, "add", "file")
        git(folder, "commit", "-q", "-m", text)
        if text == "one":
            git(folder, "branch", "old")
            git(folder, "tag", "v1")
    return folder


@pytest.fixture
def programs(tmp_path):
    return Programs(tmp_path / "log", BuildError)


@pytest.mark.parametrize(("ref", "text"), [("", "two"), ("main", "two"), ("old", "one"), ("v1", "one")])
def test_git_gives_the_ref_and_is_named_by_its_commit(repository, programs, tmp_path, ref, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/left").touch()
    got = source.fetch(Wanted("git", str(repository), ref), tmp_path / "out", programs)
    assert (tmp_path / "out/file").read_text() == text
    assert got.ref == git(repository, "rev-parse", f"{ref or 'main'}^{{commit}}")
    assert got.sha256 == git(repository, "rev-parse", f"{ref or 'main'}^{{tree}}")
    assert not (tmp_path / "out/left").exists()


def test_a_repository_that_is_an_address_is_fetched_at_that_ref_alone(repository, programs, tmp_path):
    got = source.fetch(Wanted("git", f"file://{repository}", "old"), tmp_path / "out", programs)
    assert got.ref == git(repository, "rev-parse", "old")
    assert git(tmp_path / "out", "rev-list", "--all", "--count") in {"0", "1"}


def test_a_ref_that_is_not_there_is_one_sentence(repository, programs, tmp_path):
    with pytest.raises(BuildError, match=r"to check the commit out\) ended with status"):
        source.fetch(Wanted("git", str(repository), "none"), tmp_path / "out", programs)


def test_a_tarball_is_named_by_its_checksum(programs, tmp_path):
    (tmp_path / "qemu-7.2").mkdir()
    (tmp_path / "qemu-7.2/configure").write_text("#!/bin/sh\n")
    subprocess.run(["tar", "-C", str(tmp_path), "-czf", str(tmp_path / "q.tar.gz"), "qemu-7.2"], check=True)
    got = source.fetch(Wanted("tarball", str(tmp_path / "q.tar.gz")), tmp_path / "out", programs)
    assert (tmp_path / "out/configure").exists()
    assert (got.ref, got.sha256) == ("q.tar.gz", digest(tmp_path / "q.tar.gz"))
    with pytest.raises(BuildError, match="There is no tarball"):
        source.fetch(Wanted("tarball", "/none.tar"), tmp_path / "out", programs)


def test_a_node_without_archives_cannot_give_a_source_package(programs, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_asked", lambda _line: "")
    with pytest.raises(BuildError, match="apt knows no archive"):
        source.fetch(Wanted("debian", "qemu"), tmp_path / "out", programs)
