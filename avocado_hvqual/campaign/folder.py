# SPDX-License-Identifier: GPL-2.0-or-later
"""The folder of one campaign: everything that was planned, seen, judged and said lies below it."""

from __future__ import annotations

import datetime as dt
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from avocado_hvqual.errors import PlanError

HOME_VARIABLE = "AVOCADO_HVQUAL_HOME"
DEFAULT_HOME = "/var/lib/avocado-hvqual"
MARKER = ".hvqual"
OPEN = "open"
"""The folder in the state home that names, by host, the campaigns which lie elsewhere and have not come to their end."""
NEEDED_MIB = 256
"""A smoke run writes some 5 MiB; a dump or an image in the evidence of one failed case may take the rest."""


def home() -> Path:
    """Return the folder of the project's state on this host."""
    return Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)


def host_id() -> str:
    """Return the name of this host in the undo log: ``hv-a`` and ``hv-b`` in the lab, else ``local``."""
    return os.environ.get("HVQUAL_HOST_ID") or "local"


@dataclass(frozen=True)
class Folder:
    """Where the parts of one campaign lie."""

    path: Path
    campaign: str

    @property
    def journal(self) -> Path:
        """The append-only journal."""
        return self.path / "journal.jsonl"

    @property
    def jobs(self) -> Path:
        """The result folders of the avocado jobs."""
        return self.path / "jobs"

    @property
    def log(self) -> Path:
        """What the campaign said on the terminal, as plain lines with the time."""
        return self.path / "campaign.log"


def _notes() -> Path:
    return home() / OPEN / host_id()


def open_elsewhere() -> list[tuple[Path, Path]]:
    """Return (the note that names it, its folder) of each campaign of this host with --output that has not come to its end."""
    return [(note, Path(note.read_text(encoding="utf-8").rstrip("\n"))) for note in sorted(_notes().glob("*"))]


def note_open(folder: Folder) -> None:
    """Let `clean` find a campaign outside the state home after its process has died."""
    if folder.path.parent != home() / "campaigns":
        _notes().mkdir(parents=True, exist_ok=True)
        (_notes() / folder.campaign).write_text(f"{folder.path}\n", encoding="utf-8")


def note_ended(campaign: str) -> None:
    """Forget a campaign that has come to its end."""
    (_notes() / campaign).unlink(missing_ok=True)


def new_id(now: dt.datetime, profile: str) -> str:
    """Return a campaign id that sorts by time: ``20261121-041500-smoke-9f3a``."""
    return f"{now:%Y%m%d-%H%M%S}-{profile}-{secrets.token_hex(2)}"


def default_path(campaign: str) -> Path:
    """Return where a campaign lies when nobody says otherwise."""
    return home() / "campaigns" / campaign


def latest() -> Path:
    """Return the folder of the campaign that was begun last where nobody said otherwise."""
    return max(home().joinpath("campaigns").glob("*"), default=default_path("CAMPAIGN"))


def create(path: Path, campaign: str, needed_mib: int = NEEDED_MIB) -> Folder:
    """
    Return the new, empty folder of a campaign; PlanError when it cannot be one.

    A folder that holds anything is refused: mixing two campaigns would make a verdict over half of each.
    """
    folder = Folder(path.absolute(), campaign)
    if folder.journal.exists():
        message = (
            f"'{folder.path}' already holds a campaign; give another folder with --output, "
            f"or judge that one with 'avocado hvqual verdict {folder.path}'."
        )
        raise PlanError(message)
    try:
        if folder.path.exists() and any(folder.path.iterdir()):
            message = f"'{folder.path}' is not empty; give a new or an empty folder with --output."
            raise PlanError(message)
        folder.jobs.mkdir(parents=True)
        (folder.path / MARKER).write_text(f"{campaign}\n", encoding="utf-8")
        note_open(folder)
    except OSError as error:
        message = (
            f"The campaign's folder '{folder.path}' cannot be made: {error.strerror}. Give another one with --output."
        )
        raise PlanError(message) from error
    _check_space(folder, needed_mib)
    return folder


def _check_space(folder: Folder, needed_mib: int) -> None:
    free_mib = shutil.disk_usage(folder.path).free // 2**20
    if free_mib >= needed_mib:
        return
    shutil.rmtree(folder.path, ignore_errors=True)
    note_ended(folder.campaign)
    message = (
        f"'{folder.path.parent}' has {free_mib} MiB free, a campaign needs {needed_mib} MiB; "
        "free some, or give another folder with --output."
    )
    raise PlanError(message)
