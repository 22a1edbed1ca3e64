# SPDX-License-Identifier: GPL-2.0-or-later
"""
A golden image held against what its build said of it, and no guest started: its files, its disk, its proof, what is left of a machine.

The answers are those of a node's checks, in the same words and JSON, so that the cases of node preparation ask for them alike.
"""

from __future__ import annotations

import dataclasses
import json
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from avocado_hvqual import exit_codes
from avocado_hvqual.errors import HvqualError, ImageError
from avocado_hvqual.images.golden import disk, offline, proof
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.workshop import digest
from avocado_hvqual.preparation import report
from avocado_hvqual.preparation.model import Answer, Check, Defect, Fact, Looked, Node, looked, not_applicable
from avocado_hvqual.preparation.running import Result
from avocado_hvqual.reports.words import safe

MANIFEST, PROOF, PACKAGES, PASSWORD = "manifest.json", "proof.json", "packages.json", "password"
_BOOT_SIGNATURE = b"\x55\xaa"
_SECTOR = 512


def checks(folder: Path, programs: Programs) -> tuple[Check, ...]:
    """Return the questions to the image in *folder*; none of them writes to it, and none needs a node."""
    golden, prepared = "hvqual.prep.image.golden", "hvqual.prep.image.sysprep"
    rows: list[tuple[str, str, str, Callable[[], Looked]]] = [
        (
            "image.content",
            golden,
            "An image that is no longer what was proven is another image.",
            lambda: _content(folder),
        ),
        (
            "image.disk",
            golden,
            "A copy of a disk that is broken or full of zeros costs each VM.",
            lambda: _disk(folder, programs),
        ),
        ("image.proof", golden, "An image is believed once guests of it have been seen.", lambda: _proof(folder)),
        (
            "image.template",
            prepared,
            "What is left of one machine is in all its clones.",
            lambda: _template(folder, programs),
        ),
    ]
    return tuple(Check(name, use_case, why, _asked(folder, look)) for name, use_case, why, look in rows)


def _asked(folder: Path, look: Callable[[], Looked]) -> Callable[[Any], Looked]:
    """Return *look* as a check asks it: no image is no answer, and what cannot be looked at is unknown."""

    def answer(_node: Any) -> Looked:
        if not (folder / MANIFEST).is_file():
            command = "avocado hvqual image build golden"
            return not_applicable(f"There is no '{folder / MANIFEST}'; make the image with '{command}'.")
        try:
            return look()
        except (HvqualError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            told = str(error) if isinstance(error, HvqualError) else f"{type(error).__name__}: {error}"
            return Looked(Answer.UNKNOWN, (), (), f"The image in '{folder}' cannot be read: {told}")

    return answer


def _read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def _content(folder: Path) -> Looked:
    """Hold each file against the checksum that the manifest tells; the password is nobody else's."""
    manifest = _read(folder, MANIFEST)
    told: dict[str, str] = manifest["sha256"]
    facts, defects = [Fact("content", str(manifest["content"]), str(folder / MANIFEST))], list[Defect]()
    for name in sorted({manifest["disk"], manifest["kernel"], manifest["initrd"], PROOF, PACKAGES} | set(told)):
        path = folder / name
        found = digest(path) if path.is_file() else "no such file"
        facts.append(Fact(f"sha256 of {name}", found, str(path)))
        if found != told.get(name):
            defects.append(Defect(f"'{name}' of the image", found, told.get(name, "a checksum in the manifest")))
    mode = stat.S_IMODE((folder / PASSWORD).stat().st_mode)
    facts.append(Fact("mode of the password", f"{mode:o}", str(folder / PASSWORD)))
    if mode & 0o077:
        defects.append(Defect("the password's file", f"mode {mode:o}", "mode 600: readable by its owner alone"))
    return looked(facts, defects)


def _disk(folder: Path, programs: Programs) -> Looked:
    """Ask qemu-img and e2fsck: a raw disk with holes, that can be booted, with a clean file system."""
    path = folder / _read(folder, MANIFEST)["disk"]
    said = json.loads(programs.run(["qemu-img", "info", "-U", "--output=json", str(path)], "ask for the disk"))
    held, size = int(said["actual-size"]), int(said["virtual-size"])
    facts = [
        Fact("format", str(said["format"]), f"qemu-img info {path}"),
        Fact("size (MiB)", size >> 20, f"qemu-img info {path}"),
        Fact("allocated (MiB)", held >> 20, f"qemu-img info {path}"),
    ]
    return looked(facts, _disk_defects(path, str(said["format"]), held, size, programs))


def _disk_defects(path: Path, kind: str, held: int, size: int, programs: Programs) -> Iterator[Defect]:
    if kind != "raw":
        yield Defect("format of the disk", kind, "raw")
    if not 0 < held < size:
        yield Defect("size of the disk", f"{held} of {size} bytes are allocated", "a part of them: holes are left out")
    with path.open("rb") as stream:
        first = stream.read(_SECTOR)
    if first[-2:] != _BOOT_SIGNATURE or not any(first[:64]):
        yield Defect("boot loader", "the first sector holds none", "a boot loader of its own")
    try:
        disk.check(path, programs)
    except ImageError as error:
        yield Defect("file system", str(error), "clean")


def _proof(folder: Path) -> Looked:
    """Judge again what the build saw of its guests: one by the disk's own loader, and two clones."""
    manifest, told, packages = _read(folder, MANIFEST), _read(folder, PROOF), _read(folder, PACKAGES)
    release, wanted = manifest["kernel_release"], sorted(packages)
    booted = _seen(told["booted"], packages)
    wrong = [f"{booted.name}: {it}" for it in proof.problems(booted, release, wanted, own_loader=True)]
    clones = [_seen(one, packages) for one in told["clones"]["guests"]]
    for one in clones:
        wrong += [f"{one.name}: {it}" for it in proof.problems(one, release, wanted, own_loader=False)]
    wrong += proof.alike(*clones)
    wrong += [f"The template was not clean: {it}" for it in told["template"]["is"]]
    if told["booted"]["packages"] != len(packages):
        wrong.append(f"{told['booted']['packages']} packages were seen, {len(packages)} are listed.")
    facts = [
        Fact("kernel", release, str(folder / MANIFEST)),
        Fact("packages", len(packages), str(folder / PACKAGES)),
        Fact("login asked for after (s)", booted.asked_login, str(folder / PROOF)),
        Fact("accelerator of the proof", told["booted"]["accelerator"], str(folder / PROOF)),
        Fact("clones seen", len(clones), str(folder / PROOF)),
    ]
    subjects = (f"proof of the image, {number}" for number, _ in enumerate(wrong, 1))
    return looked(
        facts, [Defect(subject, it.rstrip("."), "guests that are right") for subject, it in zip(subjects, wrong)]
    )


def _seen(row: dict[str, Any], packages: dict[str, str]) -> proof.Seen:
    """Return what a build saw of a guest, of the file in which it is told; the packages were seen once."""
    names = {field.name for field in dataclasses.fields(proof.Seen)} - {"packages"}
    return proof.Seen(**{name: row[name] for name in names}, packages=packages)


def _template(folder: Path, programs: Programs) -> Looked:
    """Look into the disk for what makes it one certain machine."""
    path = folder / _read(folder, MANIFEST)["disk"]
    left = offline.left_of_the_machine(path, programs)
    facts = [
        Fact("size of /etc/machine-id", offline.size(path, "/etc/machine-id", programs), f"debugfs {path}"),
        Fact("names in /etc/ssh", ", ".join(offline.names(path, "/etc/ssh", programs)), f"debugfs {path}"),
    ]
    expected = "nothing that is one machine's own"
    return looked(facts, [Defect(f"template: {it.split(' ')[0]}", it.rstrip("."), expected) for it in left])


def ask(wanted: Sequence[Check]) -> list[Result]:
    """Return what the checks came to, in their order."""
    found = []
    for check in wanted:
        began = time.monotonic()
        seen = check.look(cast("Node", None))
        found.append(Result(check, seen, time.monotonic() - began))
    return found


def status(found: Sequence[Result]) -> int:
    """Return the exit status; an image that is not there is not approved either."""
    answers = {result.answer for result in found}
    return exit_codes.NODE_UNKNOWN if answers == {Answer.NOT_APPLICABLE} else report.status(found)


def as_json(folder: Path, found: Sequence[Result]) -> dict[str, Any]:
    """Return the answers; each is a check as schemas/node-check.schema.json describes it."""
    rows = [report.result_json(result) for result in found]
    return {"format": 1, "image": str(folder), "checks": rows, "status": status(found)}


def lines(found: Sequence[Result]) -> Iterator[str]:
    """Yield the answers for a terminal; what the image says stands on one line and moves no cursor."""
    for result in found:
        yield f"[{report.SYMBOLS[result.answer]}] {result.check.name}: {result.answer.value}"
        if result.looked.reason:
            yield f"      {safe(result.looked.reason)}"
        if result.looked.defects:
            yield f"      Why it matters: {result.check.why}"
        for defect in result.looked.defects:
            yield f"    X {safe(defect.subject)}: found {safe(defect.found)}, expected {safe(defect.expected)}"
