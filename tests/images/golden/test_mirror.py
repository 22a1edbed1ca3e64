# SPDX-License-Identifier: GPL-2.0-or-later
"""The mirror of a network installation: what it holds, how an installer finds it there, and who can reach it."""

import gzip
import hashlib
import subprocess
import urllib.error
import urllib.request

import pytest

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden import mirror, table, trees
from avocado_hvqual.images.golden.command import Programs

KERNEL = "6.1.0-9-amd64"
ROWS = f"""\
Package: partman-auto
Priority: standard
Depends: cdebconf-udeb, partman-base (>= 2) | partman-old, harddrive-detection
Description: one
 more of it

Package: partman-base
Priority: optional

Package: disk-detect
Priority: optional
Provides: harddrive-detection

Package: cdebconf-udeb
Priority: standard

Package: partman-btrfs
Priority: standard

Package: rescue-mode
Priority: extra

Package: ext4-modules-{KERNEL}-di
Priority: standard
Depends: kernel-image-{KERNEL}-di, crc-modules-{KERNEL}-di
Provides: ext4-modules

Package: crc-modules-{KERNEL}-di
Priority: standard

Package: scsi-modules-{KERNEL}-di
Priority: standard

Package: sound-modules-{KERNEL}-di
Priority: standard

Package: ext4-modules-6.1.0-8-amd64-di
Priority: standard
"""
INSIDE = f"""\
Package: cdebconf-udeb
Provides: debconf-2.0

Package: kernel-image-{KERNEL}-di
"""


def test_the_installer_gets_its_parts_with_what_they_depend_on_and_nothing_that_it_has():
    rows = mirror.parse(ROWS)
    assert rows[0]["Description"] == "one"
    found = mirror.installer_parts(rows, mirror.parse(INSIDE), KERNEL)
    modules = [f"{kind}-modules-{KERNEL}-di" for kind in ("crc", "ext4", "scsi")]
    assert sorted(found) == sorted([*modules, "disk-detect", "partman-auto", "partman-base"])


def test_an_installer_of_another_day_than_the_archive_is_one_sentence():
    with pytest.raises(ImageError, match=r"no modules for the installer's kernel 6\.1\.0-7-amd64"):
        mirror.installer_parts(mirror.parse(ROWS), [], "6.1.0-7-amd64")


@pytest.fixture
def pool(tmp_path):
    """A pool as apt fills it, with rows of an archive: one package has an epoch, one was not fetched."""
    rows = [
        {
            "Package": name,
            "Version": version,
            "Architecture": "amd64",
            "Filename": f"pool/main/{name}/{name}_{version.split(':')[-1]}_amd64.{kind}",
        }
        for name, version, kind in (("one", "1:2+b1", "deb"), ("two", "3", "deb"), ("part", "4", "udeb"))
    ]
    (tmp_path / "pool").mkdir()
    for row in (rows[0], rows[2]):
        (tmp_path / "pool" / mirror.fetched(row)).write_text(row["Package"])
    return {"main": rows[:2], "main/debian-installer": rows[2:]}


def test_each_file_is_found_under_the_archives_name_as_wget_asks_for_it(tmp_path, pool):
    assert (tmp_path / "pool/one_1%3a2+b1_amd64.deb").exists()
    mirror.index("bookworm", tmp_path, pool)
    rows = mirror.parse((tmp_path / "dists/bookworm/main/binary-amd64/Packages").read_text())
    assert [row["Package"] for row in rows] == ["one"], "what was not fetched is not listed"
    with mirror.served(tmp_path) as port:
        for name in (rows[0]["Filename"], "pool/part_4_amd64.udeb"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=5) as answer:
                assert answer.status == 200, name


def test_the_mirror_says_what_an_installer_asks_of_it(tmp_path, pool):
    mirror.index("bookworm", tmp_path, pool)
    root = tmp_path / "dists/bookworm"
    text = (root / "Release").read_text()
    assert "Codename: bookworm\n" in text
    assert "Components: main main/debian-installer\n" in text
    lists = [root / kind / "binary-amd64/Packages.gz" for kind in pool]
    for path in lists:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert f" {digest} {path.stat().st_size} {path.relative_to(root)}\n" in text
        whole = path.with_suffix("").read_text()
        assert gzip.decompress(path.read_bytes()).decode() == whole
        assert whole.endswith("\n\n"), "debootstrap overlooks a last row without an empty line after it"
        # The installer takes a mirror without it for one of other architectures.
        assert "Architecture: amd64\n" in path.with_name("Release").read_text()


def test_parts_that_the_archive_lists_and_does_not_give_are_named_with_the_way_out(tmp_path, pool):
    whole = table.load()
    order = trees.Order("virt-install", whole.system("debian-12"), whole)
    error = ImageError("404")
    assert mirror._absent(order, tmp_path / "pool", pool["main/debian-installer"], error) is error
    said = str(mirror._absent(order, tmp_path / "pool", pool["main"], error))
    assert (
        "does not give 1 of them: two. Name another archive with --mirror, or a folder of them with --parts. 404"
        in said
    )


def test_an_installed_system_knows_the_archive_and_the_mirror_no_more(tmp_path):
    tree, state = tmp_path / "tree/etc/apt", tmp_path / "mirror/state"
    for folder in (tree, state):
        folder.mkdir(parents=True)
    (tree / "sources.list").write_text("deb http://10.0.2.2:80/trixie trixie main\n")
    (state / "sources.list").write_text("deb http://a/d trixie main\ndeb http://a/d trixie main/debian-installer\n")
    mirror.name_archive(tmp_path / "mirror", tmp_path / "tree")
    assert (tree / "sources.list").read_text() == "deb http://a/d trixie main\n"


def test_parts_of_an_own_folder_are_listed_as_what_they_are(tmp_path):
    built, own = tmp_path / "built", tmp_path / "own"
    for folder in (built / "DEBIAN", own, tmp_path / "pool"):
        folder.mkdir(parents=True)
    (built / "DEBIAN/control").write_text(
        "Package: part\nVersion: 1:2\nArchitecture: all\nMaintainer: me <m@e>\nDescription: a part\n"
    )
    file = own / "part.udeb"
    subprocess.run(["dpkg-deb", "-b", str(built), str(file)], check=True, capture_output=True)
    (row,) = mirror._own_parts(own, tmp_path / "pool", Programs(tmp_path / "log"))
    assert (row["Package"], row["Size"]) == ("part", str(file.stat().st_size))
    assert row["SHA256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (tmp_path / "pool" / mirror.fetched(row)).read_bytes() == file.read_bytes()


def test_the_mirror_is_served_on_loopback_and_only_while_the_block_lasts(tmp_path):
    (tmp_path / "file").write_text("text")
    with mirror.served(tmp_path) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/file", timeout=5) as answer:
            assert answer.read() == b"text"
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/../../etc/passwd", timeout=5)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/file", timeout=5)


def test_a_kernel_tells_its_release(tmp_path):
    image = bytearray(0x4000)
    image[0x202:0x206] = b"HdrS"
    image[0x20E:0x210] = (0x3000).to_bytes(2, "little")
    image[0x3200 : 0x3200 + 30] = b"6.1.0-9-amd64 (debian) #1 SMP\0"
    (tmp_path / "linux").write_bytes(image)
    assert mirror.kernel_of(tmp_path / "linux") == "6.1.0-9-amd64"
    (tmp_path / "linux").write_bytes(b"\0" * 0x4000)
    with pytest.raises(ImageError, match="is no kernel that tells its release"):
        mirror.kernel_of(tmp_path / "linux")
