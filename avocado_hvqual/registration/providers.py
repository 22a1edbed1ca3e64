# SPDX-License-Identifier: GPL-2.0-or-later
"""The two provider files by which avocado-vt knows us, and the switch that keeps us out after `unregister`."""

from __future__ import annotations

import os
import tempfile
from importlib import metadata
from pathlib import Path

import avocado_hvqual
from avocado_hvqual.errors import RegistrationError
from avocado_hvqual.trees import DISTRIBUTION

NAME = "avocado-hvqual"
NAME_GENERIC = "avocado-hvqual-generic"
# glob.glob gets avocado-vt's folder names unescaped: tests below such a folder vanish without a word.
UNUSABLE = "*?[]\n\r"


def provider_files(root: Path) -> dict[str, str]:
    """
    Return file name -> text of the provider files for the trees in *root*.

    Two files and no `[generic]`: beside tp-qemu, avocado-vt 113 gives the cfgs of a second `[generic]` to the wrong provider
    or raises KeyError (virttest/bootstrap.py, create_subtests_cfg, asks a left-over loop variable).
    """
    if set(UNUSABLE) & set(str(root)):
        message = (
            f"avocado-vt finds no tests below '{root}' because of the special characters in its name. Move the folder."
        )
        raise RegistrationError(message)
    uri = "file://" + str(root).replace("%", "%%")
    own = f"[provider]\nuri: {uri}\n[qemu]\nsubdir: qemu/\n[libvirt]\nsubdir: libvirt/\n"
    generic = f"[provider]\nuri: {uri}\n[qemu]\nsubdir: generic/\n[libvirt]\nsubdir: generic/\n"
    return {f"{NAME}.ini": own, f"{NAME_GENERIC}.ini": generic}


def write_providers(folder: Path, root: Path) -> None:
    """Write our provider files into *folder* and make avocado-vt's options appear; unchanged files are not touched."""
    # avocado-vt's plugins refuse to load ("Bootstrap missing") until `downloads` has an entry.
    (folder / "downloads" / ".keep").mkdir(parents=True, exist_ok=True)
    for name, text in provider_files(root).items():
        write_atomically(folder / name, text)


def remove_providers(folder: Path) -> bool:
    """Remove our provider files from *folder*; say whether there were any."""
    found = False
    for name in (f"{NAME}.ini", f"{NAME_GENERIC}.ini"):
        path = folder / name
        found = found or path.exists()
        path.unlink(missing_ok=True)
    return found


def write_atomically(path: Path, text: str) -> None:
    """Give *path* the *text* by temporary file and rename, so that no reader ever sees a part of it."""
    if _read(path) == text:
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def installation() -> str:
    """Return what tells this installation from the next one: `unregister` holds until avocado-hvqual is installed anew."""
    for distribution in metadata.distributions(name=DISTRIBUTION):
        record = Path(
            str(distribution.locate_file("")),
            f"{DISTRIBUTION.replace('-', '_')}-{distribution.version}.dist-info",
            "METADATA",
        )
        if record.is_file():
            return f"{record}:{record.stat().st_mtime_ns}"
    return str(Path(avocado_hvqual.__file__).resolve().parent)
