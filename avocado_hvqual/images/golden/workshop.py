# SPDX-License-Identifier: GPL-2.0-or-later
"""The folder in which one image is being built, and what its stages leave there for one another."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.trees import Order

PROMPT = r"^\[root@golden [^\]]*\]# $"
#: The clones of the proof have no more.
MIN_MEMORY_MIB = 512


@dataclass(frozen=True)
class Workshop:
    """Where one build is made: *folder* holds what its stages leave, *out* becomes the image."""

    order: Order
    content: str
    folder: Path
    out: Path
    programs: Programs

    def file(self, name: str) -> Path:
        """Return the path of what a stage leaves."""
        return self.folder / name

    def note(self, name: str, value: Any) -> None:
        """Write what a stage found out."""
        self.file(name).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")

    def read(self, name: str) -> Any:
        """Return what a stage found out."""
        return json.loads(self.file(name).read_text(encoding="utf-8"))


def digest(path: Path) -> str:
    """Return the SHA-256 of a file of any size."""
    total = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                total.update(block)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}."
        raise ImageError(msg) from error
    return total.hexdigest()
