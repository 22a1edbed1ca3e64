# SPDX-License-Identifier: GPL-2.0-or-later
"""
A storage pool over the folder of the guests' disks, for tools that would else define one and leave it.

virt-install 4.1 defines a persistent pool, named after the folder, for the folder of every disk that it is given by path.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from provider.hvqual import marks
from provider.hvqual.host_state import undone


@contextmanager
def covering(connection: Any, uri: str, folder: str, token: str) -> Iterator[str]:
    """Hold an active pool over *folder*; yields its name: one that is there already, else a transient one of ours."""
    there = next((pool.name() for pool in connection.listAllStoragePools() if _target(pool) == Path(folder)), "")
    if there:
        yield there
        return
    name, own = f"{marks.PREFIX}{token}", str(uuid.uuid4())
    with undone("destroy_pool", name=name, uuid=own, uri=uri):
        xml = f"<pool type='dir'><name>{name}</name><uuid>{own}</uuid><target><path>{escape(folder)}</path></target></pool>"
        connection.storagePoolCreateXML(xml, 0)
        yield name


def _target(pool: Any) -> Path | None:
    """Return the folder of an active pool of files, None for any other."""
    path = ET.fromstring(pool.XMLDesc()).findtext("target/path") if pool.isActive() else None  # noqa: S314 - from libvirtd
    return Path(path) if path else None
