# SPDX-License-Identifier: GPL-2.0-or-later
"""How we know what is ours: only such things are ever destroyed, wiped, detached or killed (decision 7)."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

PREFIX = "hvq-"
MARKER = ".hvqual"
METADATA_URI = "https://avocado-hvqual.example/1"
DEFAULT_HOME = "/var/lib/avocado-hvqual"


def home() -> Path:
    """The folder of our state on this host: AVOCADO_HVQUAL_HOME, else /var/lib/avocado-hvqual."""
    return Path(os.environ.get("AVOCADO_HVQUAL_HOME") or DEFAULT_HOME)


def host_id() -> str:
    """The name under which this host keeps its undo log: HVQUAL_HOST_ID, else 'local'."""
    return os.environ.get("HVQUAL_HOST_ID") or "local"


def owner_element(campaign: str, pid: int) -> str:
    """The libvirt metadata element that makes a domain ours."""
    element = ET.Element(f"{{{METADATA_URI}}}owner", {"campaign": campaign, "pid": str(pid)})
    ET.register_namespace("hvqual", METADATA_URI)
    return ET.tostring(element, encoding="unicode")


def owner_in(xml: str) -> dict[str, str] | None:
    """The owner that a libvirt XML names in our metadata element, None when it is not ours."""
    element = ET.fromstring(xml).find(f"./metadata/{{{METADATA_URI}}}owner")  # noqa: S314 - from the local libvirtd
    return None if element is None else dict(element.attrib)


def path_is_ours(path: str | Path, our_home: str | Path | None = None) -> bool:
    """
    Whether *path* may be removed: it, or a folder above it, has our prefix or our marker file, or lies beneath our home.

    Symbolic links in the folders above are followed first, so that a link named like ours cannot lead elsewhere.
    """
    lexical = Path(path)
    if not lexical.is_absolute() or ".." in lexical.parts:
        return False
    real = Path(os.path.realpath(lexical.parent)) / lexical.name
    if our_home is not None and Path(os.path.realpath(our_home)) in real.parents:
        return True
    chain = [real, *real.parents][:-1]
    return any(part.name.startswith(PREFIX) or (part / MARKER).is_file() for part in chain)


def libvirt_module() -> Any:
    """
    The libvirt-python module; ImportError with a sentence when it is missing.

    A folder of the name 'libvirt' on sys.path (a test provider has one) imports as an empty namespace package: that is told apart.
    """
    module = importlib.import_module("libvirt")
    if not hasattr(module, "openReadOnly"):
        message = (
            "The module 'libvirt' that Python found is not libvirt-python. Install libvirt-python for this interpreter."
        )
        raise ImportError(message)
    return module
