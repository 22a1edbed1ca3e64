# SPDX-License-Identifier: GPL-2.0-or-later
"""A build's record names the build, is believed only of the files that it tells of, and travels inside the package."""

import json
import subprocess
from dataclasses import replace

import pytest

from avocado_hvqual.builds import packing, record
from avocado_hvqual.builds.record import Record
from avocado_hvqual.errors import BuildError, DefinitionError
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.lab.tools import find

SOURCE = {"kind": "git", "place": "/src/qemu", "ref": "a" * 40, "sha256": "b" * 40}


@pytest.fixture
def tree(tmp_path):
    program = tmp_path / "tree/opt/hvq-qemu/bin/qemu"
    program.parent.mkdir(parents=True)
    program.write_text("program")
    return tmp_path / "tree"


@pytest.fixture
def built(tree):
    return Record(
        "qemu",
        "7.2.22",
        SOURCE,
        ("--enable-tcg",),
        "gcc 12",
        "abcd",
        "/opt/hvq-qemu/bin/qemu",
        record.files_below(tree),
    )


def test_what_is_written_is_read(built, tmp_path):
    record.write(built, tmp_path / "r.json")
    assert record.read(tmp_path / "r.json") == built
    packed = replace(built, package=record.Package("hvq-qemu", "7.2", "x.deb", "c" * 64), seconds={"source": 1.5})
    record.write(packed, tmp_path / "r.json")
    assert record.read(tmp_path / "r.json") == packed
    assert packed.told() == f"qemu 7.2.22 of git /src/qemu at {'a' * 40}, build id abcd"


@pytest.mark.parametrize(
    "change",
    [{"format": 2}, {"files": {}}, {"files": {"rel": "0" * 64}}, {"name": "emacs"}, {"more": 1}, {"build_id": "XY"}],
)
def test_what_is_no_record_is_refused_by_its_line(built, tmp_path, change):
    path = tmp_path / "r.json"
    record.write(built, path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DefinitionError, match=r"r.json:\d+: "):
        record.read(path)


def test_a_file_that_was_changed_or_is_missing_is_named(built, tree):
    assert record.changed(built, tree) == []
    (tree / "opt/hvq-qemu/bin/qemu").write_text("another")
    assert record.changed(built, tree) == ["/opt/hvq-qemu/bin/qemu"]
    (tree / "opt/hvq-qemu/bin/qemu").unlink()
    assert record.changed(built, tree) == ["/opt/hvq-qemu/bin/qemu"]


def test_a_record_speaks_only_of_the_very_file(built, tree, tmp_path):
    program = tree / "opt/hvq-qemu/bin/qemu"
    here = replace(built, files={str(program): built.files["/opt/hvq-qemu/bin/qemu"]})
    record.write(here, tmp_path / "builds/hvq-qemu.json")
    (tmp_path / "builds/torn.json").write_text("{")
    link = tmp_path / "qemu"
    link.symlink_to(program)
    for path in (program, link):
        assert record.origins(str(path), "none", tmp_path / "builds") == {"qemu-origin": here.told()}
    assert record.origins("/usr/bin/true", "none", tmp_path / "builds") == {}
    program.write_text("patched by hand")
    assert record.origins(str(program), "none", tmp_path / "builds") == {}


@pytest.mark.parametrize(
    ("text", "version"),
    [("7.2.22+7:2/3_x", "7.2.22+7+2+3+x"), ("v6.1", "0~v6.1"), ("6.1.0-hvq", "6.1.0+hvq"), ("+1+", "1")],
)
def test_versions_are_what_dpkg_takes(text, version):
    assert packing.version(text) == version
    if find("dpkg"):
        subprocess.run(["dpkg", "--validate-version", version], check=True)


@pytest.mark.skipif(find("dpkg-deb") is None, reason="dpkg-deb is not installed")
def test_the_package_holds_the_files_their_record_and_scripts(built, tree, tmp_path):
    programs = Programs(tmp_path / "log", BuildError)
    about = packing.About("hvq-qemu", "7.2.22", "QEMU under test", (("postinst", "#!/bin/sh\nexit 0\n"),))
    packed = packing.pack(tree, about, built, tmp_path, programs)
    file = tmp_path / packed.package.file
    assert packed.package.sha256 == record.digest(file)
    listed = subprocess.run(["dpkg-deb", "-c", str(file)], capture_output=True, text=True, check=True).stdout
    assert "./opt/hvq-qemu/bin/qemu" in listed
    assert "root/root" in listed
    subprocess.run(["dpkg-deb", "-x", str(file), str(tmp_path / "out")], check=True)
    inside = record.read(tmp_path / "out/usr/share/avocado-hvqual/builds/hvq-qemu.json")
    assert record.changed(inside, tmp_path / "out") == []
    fields = subprocess.run(["dpkg-deb", "-f", str(file)], capture_output=True, text=True, check=True).stdout
    assert "Package: hvq-qemu\nVersion: 7.2.22\nArchitecture: amd64\n" in fields
