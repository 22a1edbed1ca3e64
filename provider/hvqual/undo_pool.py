# SPDX-License-Identifier: GPL-2.0-or-later
"""Put back a storage pool that we made: transient, called by our prefix, known by its uuid; its files are not touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from provider.hvqual import marks
from provider.hvqual.undo_libvirt import DEFAULT_URI, connection
from provider.hvqual.wait import WaitTimeoutError, until

BUSY = "asynchronous jobs running"
JOBS_S = 120.0
"""A volume of a few GiB is written in seconds; who waits in vain leaves the node tainted, and the next replay tries again."""


def destroy_pool(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Stop a pool of ours, which is forgotten by that; what lies in its folder stays."""
    name, uuid = details["name"], details["uuid"]
    with connection(details.get("uri") or DEFAULT_URI) as conn:
        pool = _of_uuid(conn, uuid)
        if pool is None:
            return "gone", f"there is no pool '{name}' any more"
        if pool.name() != name or not name.startswith(marks.PREFIX):
            return "gone", f"the pool '{pool.name()}' is not ours: left alone"
        try:
            until(lambda: _destroyed(pool), JOBS_S, f"the pool '{name}' to have no job", interval=0.2)
        except WaitTimeoutError as error:
            return "failed", f"the pool '{name}' cannot be destroyed: something is still written in it. {error}"
        if _of_uuid(conn, uuid) is not None:
            return "failed", f"the pool '{name}' is still there after libvirt said that it was destroyed"
        return "restored", f"pool '{name}' destroyed"


def _destroyed(pool: Any) -> bool:
    """Stop the pool; False while libvirtd still writes a volume in it, for whoever asked for that and has died since."""
    try:
        pool.destroy()
    except marks.libvirt_module().libvirtError as error:
        if BUSY not in str(error):
            raise
        return False
    return True


def _of_uuid(conn: Any, uuid: str) -> Any | None:
    return next((pool for pool in conn.listAllStoragePools() if pool.UUIDString() == uuid), None)
