# SPDX-License-Identifier: GPL-2.0-or-later
"""Put back a storage pool that we made: transient, called by our prefix, known by its uuid; its files are not touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from provider.hvqual import marks
from provider.hvqual.undo_libvirt import DEFAULT_URI, connection


def destroy_pool(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Stop a pool of ours, which is forgotten by that; what lies in its folder stays."""
    name, uuid = details["name"], details["uuid"]
    with connection(details.get("uri") or DEFAULT_URI) as conn:
        pool = _of_uuid(conn, uuid)
        if pool is None:
            return "gone", f"there is no pool '{name}' any more"
        if pool.name() != name or not name.startswith(marks.PREFIX):
            return "gone", f"the pool '{pool.name()}' is not ours: left alone"
        pool.destroy()
        if _of_uuid(conn, uuid) is not None:
            return "failed", f"the pool '{name}' is still there after libvirt said that it was destroyed"
        return "restored", f"pool '{name}' destroyed"


def _of_uuid(conn: Any, uuid: str) -> Any | None:
    return next((pool for pool in conn.listAllStoragePools() if pool.UUIDString() == uuid), None)
