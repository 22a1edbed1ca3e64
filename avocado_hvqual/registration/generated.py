# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration that avocado-vt generates from all registered providers, made in-process instead of by `vt-bootstrap`."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from avocado_hvqual.registration.providers import NAME

VT_TYPES = ("libvirt", "qemu")
STAGE = ".avocado-hvqual-"


def subtests(data: Path) -> list[Path]:
    """Return the generated lists of tests below avocado-vt's *data* folder, one a vt-type."""
    return [data / "backends" / vt_type / "cfg" / "subtests.cfg" for vt_type in VT_TYPES]


def generate(data: Path, *, ours: bool) -> list[str]:
    """
    Generate the list of tests of each vt-type, and whatever else `avocado list` needs and is not there yet.

    Nothing that exists is changed but the lists of tests: the other files may carry the user's own settings, which `vt-bootstrap`
    asks about. Returns one sentence for each list that avocado-vt could not generate; a list that was there is then left as it was.
    With *ours*, a list that was not there gets our own tests at least.
    """
    problems = []
    for dead in data.glob(f"{STAGE}*"):
        shutil.rmtree(dead, ignore_errors=True)
    data.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(dir=data, prefix=STAGE))
    try:
        with _muted(), _generating_into(stage):
            for vt_type in VT_TYPES:
                problems += _generate_type(vt_type, stage, data, ours=ours)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return problems


def _generate_type(vt_type: str, stage: Path, data: Path, *, ours: bool) -> list[str]:
    """Generate the files of one vt-type in *stage* and rename them into *data*."""
    from virttest import bootstrap, data_dir

    made = stage / "backends" / vt_type
    there = data / "backends" / vt_type
    shutil.copytree(Path(data_dir.get_base_backend_dir()) / vt_type, made)
    for shared in (Path(data_dir.get_shared_dir()) / "cfg").glob("*.cfg"):
        shutil.copyfile(shared, made / "cfg" / shared.name)
    bootstrap.create_guest_os_cfg(vt_type)
    bootstrap.create_host_os_cfg({"vt.type": vt_type})
    problems = []
    try:
        bootstrap.create_subtests_cfg(vt_type)
    # Whatever is wrong with another provider's files comes out here as whatever exception they lead to.
    except Exception as failure:  # noqa: BLE001
        problems.append(
            f"avocado-vt cannot list the tests of vt-type '{vt_type}' ({type(failure).__name__}: {failure}); "
            f"is one of the provider files in '{data_dir.get_test_providers_dir()}' broken? "
            f"Mend it; `avocado vt-bootstrap --vt-type {vt_type} --vt-no-downloads` then shows whether it worked."
        )
        _ours_alone(vt_type, made / "cfg" / "subtests.cfg", ours=ours)
    wanted = "subtests.cfg" if not problems or not (there / "cfg" / "subtests.cfg").exists() else ""
    _move(made, there, wanted)
    return problems


def _ours_alone(vt_type: str, path: Path, *, ours: bool) -> None:
    """Write a list of our own tests only: what avocado-vt would have written, had it known no other provider."""
    from virttest import asset, bootstrap

    # avocado-vt left its own file open when it failed, and what it had not written yet lands in it when that is collected
    # (113.0: in some of ten runs in the midst of this list, which then held no test at all). So this is another file.
    path.unlink(missing_ok=True)
    with path.open("w", encoding="utf-8") as stream:
        stream.write("variants subtest:\n")
        names = (NAME, f"{NAME}-generic") if ours else ()
        folders = [(name, Path(asset.get_test_provider_info(name)["backends"][vt_type]["path"])) for name in names]
        cfgs = [
            (name, str(cfg)) for name, folder in folders for cfg in sorted((folder / "tests" / "cfg").rglob("*.cfg"))
        ]
        bootstrap.write_subtests_files(cfgs, stream, vt_type)


def _move(made: Path, there: Path, replaced: str) -> None:
    """Rename what is missing in *there*, and the file named *replaced*, from *made*."""
    for source in sorted(path for path in made.rglob("*") if path.is_file()):
        target = there / source.relative_to(made)
        if target.exists() and target.name != replaced:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as stream:
            os.fsync(stream.fileno())
        source.replace(target)


@contextlib.contextmanager
def _generating_into(stage: Path) -> Iterator[None]:
    """
    Let avocado-vt write its generated files into *stage*, from where a rename puts them in place.

    It opens the final files for writing and fills them slowly: a second avocado that starts meanwhile would read half a list.
    """
    from virttest import data_dir

    before = data_dir.DATA_DIR
    data_dir.DATA_DIR = str(stage)
    try:
        yield
    finally:
        data_dir.DATA_DIR = before


@contextlib.contextmanager
def _muted() -> Iterator[None]:
    """Keep avocado-vt's progress messages and import warnings off the user's terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - os.devnull is a name, not a path of ours
            with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                yield
    finally:
        logging.disable(before)
