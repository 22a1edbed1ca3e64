# SPDX-License-Identifier: GPL-2.0-or-later
"""A built image is held against what its build told: each thing that is no longer so is one defect, and no image is no approval."""

from __future__ import annotations

import json
import os
import shutil

import jsonschema
import pytest

from avocado_hvqual import exit_codes
from avocado_hvqual.images.golden import check, cli, disk
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.workshop import digest
from avocado_hvqual.lab.tools import find
from avocado_hvqual.load import schema
from avocado_hvqual.preparation.model import Answer

FACTS = {
    "kernel": "6.1.0-9-cloud-amd64",
    "cmdline": "root=LABEL=hvq-root",
    "machine_id": "0123456789abcdef0123456789abcdef",
    "boot_id": "b-1",
    "state": "running",
    "failed": "",
    "host_key": "SHA256:one",
    "mac": "52:54:00:00:00:01",
    "crash_kernel": "1",
    "witness": "b-1",
}
SEEN = {
    "name": "one",
    "asked_login": 20.0,
    "logged_in": 25.0,
    "address": "10.0.2.15",
    "heartbeat": "b-1",
    "ssh_boot": "",
    "ssh_key": "",
}


def clone(number):
    """Return what was seen of one clone."""
    own = {"machine_id": f"{number}" * 32, "boot_id": f"c-{number}", "witness": f"c-{number}", "host_key": f"k{number}"}
    facts = {**FACTS, **own, "mac": f"52:54:00:00:01:0{number}", "crash_kernel": "0"}
    return {
        **SEEN,
        "name": f"clone-{number}",
        "facts": facts,
        "heartbeat": f"c-{number}",
        "address": f"10.0.2.{number}",
    }


def proof():
    """Return the proof of a build in which nothing was wrong."""
    booted = {**SEEN, "facts": {**FACTS, "cmdline": "BOOT_IMAGE=/boot/vmlinuz root=LABEL=hvq-root"}}
    return {
        "booted": {**booted, "accelerator": "tcg", "packages": 1},
        "template": {"was": ["/etc/machine-id has 33 bytes"], "is": []},
        "clones": {"guests": [clone(1), clone(2)]},
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A function that makes an image's folder: a small disk of a tree, and the files of a build."""
    missing = [name for name in ("mke2fs", "debugfs", "e2fsck", "qemu-img") if find(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    grub, made = tmp_path / "grub", tmp_path / "golden"
    grub.mkdir()
    (grub / "boot.img").write_bytes(bytes(range(256)) * 2)
    (tmp_path / "core").write_bytes(b"core")
    monkeypatch.setattr(disk, "GRUB", grub)

    def make(told=None, **files):
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(tmp_path / "tree", ignore_errors=True)
        for name, text in {"etc/passwd": "root", "etc/machine-id": "", "etc/ssh/sshd_config": "", **files}.items():
            (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "tree" / name).write_text(text)
        made.mkdir()
        disk.create(tmp_path / "tree", tmp_path / "core", made / "golden.raw", 16, Programs(tmp_path / "log"))
        for name, text in (("vmlinuz", "kernel"), ("initrd.img", "initrd"), ("password", "secret")):
            (made / name).write_text(text)
        (made / "password").chmod(0o600)
        (made / "packages.json").write_text(json.dumps({"fio": "3.33"}))
        (made / "proof.json").write_text(json.dumps(told or proof()))
        seal(made)
        return made

    return make


def seal(made):
    """Write the manifest of what is in the folder now."""
    names = ("vmlinuz", "initrd.img", "golden.raw", "packages.json", "proof.json")
    manifest = {"kernel": "vmlinuz", "initrd": "initrd.img", "disk": "golden.raw", "kernel_release": FACTS["kernel"]}
    sums = {name: digest(made / name) for name in names}
    (made / "manifest.json").write_text(json.dumps({**manifest, "content": "c", "sha256": sums}))


def asked(made, name, tmp_path):
    """Return what one check says of the image."""
    (result,) = [
        one for one in check.ask(check.checks(made, Programs(tmp_path / "asked.log"))) if one.check.name == name
    ]
    return result


def test_an_image_as_it_was_built_is_met_and_untouched(folder, capsys):
    made = folder()
    before = {path.name: digest(path) for path in made.iterdir()}
    args = cli.argparse.Namespace(image=made, only="", json=True)
    assert cli.check(args) == exit_codes.ACCEPTED
    said = json.loads(capsys.readouterr().out)
    assert [one["answer"] for one in said["checks"]] == ["met"] * 4
    assert all(one["facts"] for one in said["checks"])
    one_check = {**schema("node-check.schema"), "$ref": "#/definitions/check"}
    for one in said["checks"]:
        jsonschema.Draft7Validator(one_check).validate(one)
    assert {path.name: digest(path) for path in made.iterdir()} == before


@pytest.mark.parametrize("name", ["vmlinuz", "golden.raw", "packages.json", "proof.json"])
def test_one_byte_of_any_file_is_one_defect(folder, tmp_path, name):
    made = folder()
    with (made / name).open("r+b") as stream:
        first = stream.read(1)
        stream.seek(0)
        stream.write(bytes([first[0] ^ 1]))
    found = asked(made, "image.content", tmp_path)
    assert (found.answer, [defect.subject for defect in found.looked.defects]) == (
        Answer.UNMET,
        [f"'{name}' of the image"],
    )


def test_a_file_that_is_gone_and_an_open_password_are_defects(folder, tmp_path):
    made = folder()
    (made / "initrd.img").unlink()
    (made / "password").chmod(0o644)
    found = asked(made, "image.content", tmp_path)
    assert [(defect.subject, defect.found) for defect in found.looked.defects] == [
        ("'initrd.img' of the image", "no such file"),
        ("the password's file", "mode 644"),
    ]


def test_a_file_that_the_manifest_does_not_tell_of_is_not_believed(folder, tmp_path):
    made = folder()
    manifest = json.loads((made / "manifest.json").read_text())
    del manifest["sha256"]["proof.json"]
    (made / "manifest.json").write_text(json.dumps(manifest))
    (defect,) = asked(made, "image.content", tmp_path).looked.defects
    assert (defect.subject, defect.expected) == ("'proof.json' of the image", "a checksum in the manifest")


def test_a_disk_without_loader_or_with_a_broken_file_system_is_a_defect(folder, tmp_path):
    made = folder()
    with (made / "golden.raw").open("r+b") as stream:
        stream.write(bytes(512))
        stream.seek(disk.PARTITION_START + 1024 * 4)
        stream.write(b"\xff" * 4096)
    found = asked(made, "image.disk", tmp_path).looked.defects
    assert [defect.subject for defect in found] == ["boot loader", "file system"]


def test_a_disk_whose_holes_are_filled_is_a_defect(folder, tmp_path):
    made = folder()
    whole = (made / "golden.raw").read_bytes()
    with (made / "golden.raw").open("wb") as stream:
        stream.write(whole)
        os.posix_fallocate(stream.fileno(), 0, len(whole))
        os.fsync(stream.fileno())
    assert [defect.subject for defect in asked(made, "image.disk", tmp_path).looked.defects] == ["size of the disk"]


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("booted", "facts", "kernel"), "6.1.0-other", "one: It runs the kernel '6.1.0-other'"),
        (("booted", "facts", "cmdline"), "root=LABEL=hvq-root", "one: It was booted by QEMU"),
        (("booted", "asked_login"), 61.0, "one: It asked for a login after 61.0 s"),
        (("booted", "packages"), 2, "2 packages were seen, 1 are listed"),
        (("clones", "guests", 1, "address"), "10.0.2.1", "Both 'clone-1' and 'clone-2' have the address '10.0.2.1'"),
        (("clones", "guests", 0, "heartbeat"), "c-9", "clone-1: Its heartbeat tells of the boot 'c-9'"),
        (("template", "is"), ["/root/.ssh/key is there."], "The template was not clean: /root/.ssh/key is there"),
    ],
)
def test_a_proof_of_a_guest_that_is_not_right_is_no_proof(folder, tmp_path, place, value, told):
    other = proof()
    at = other
    for name in place[:-1]:
        at = at[name]
    at[place[-1]] = value
    (defect,) = asked(folder(other), "image.proof", tmp_path).looked.defects
    assert defect.found.startswith(told)
    assert not defect.found.endswith(".")


def test_a_proof_that_leaves_something_out_is_unknown(folder, tmp_path):
    other = proof()
    del other["clones"]["guests"][0]["facts"]
    found = asked(folder(other), "image.proof", tmp_path)
    assert (found.answer, "cannot be read: KeyError" in found.looked.reason) == (Answer.UNKNOWN, True)


def test_what_is_left_of_a_machine_is_found_on_the_disk(folder, tmp_path):
    made = folder(**{"etc/machine-id": "0" * 32, "etc/ssh/ssh_host_ed25519_key": "key"})
    found = asked(made, "image.template", tmp_path).looked.defects
    assert [defect.subject for defect in found] == [
        "template: /etc/machine-id",
        "template: /etc/ssh/ssh_host_ed25519_key",
    ]


def test_no_image_is_no_approval_and_names_the_command(tmp_path, capsys):
    args = cli.argparse.Namespace(image=tmp_path, only="image.template", json=False)
    assert cli.check(args) == exit_codes.NODE_UNKNOWN
    assert "make the image with 'avocado hvqual image build golden'" in capsys.readouterr().out
    with pytest.raises(cli.ImageError, match=r"no check 'x' of an image; there are image\.content,"):
        cli.check(cli.argparse.Namespace(image=tmp_path, only="x", json=False))
