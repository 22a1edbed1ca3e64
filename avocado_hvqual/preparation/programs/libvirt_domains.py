# SPDX-License-Identifier: GPL-2.0-or-later
"""The domains as libvirt-python lists them: ``libvirt_domains.py URI`` writes ``{"domains": {name: active}}`` or ``{"error"}``."""

from __future__ import annotations

import json
import sys


def ask(uri: str) -> dict[str, object]:
    """Return every domain, active or not."""
    try:
        import libvirt
    except ImportError as error:
        return {"error": f"libvirt-python is not installed for {sys.executable}: {error}"}
    libvirt.registerErrorHandler(lambda *_: None, None)
    try:
        connection = libvirt.openReadOnly(uri)
        found = {domain.name(): bool(domain.isActive()) for domain in connection.listAllDomains()}
        connection.close()
    except libvirt.libvirtError as error:
        return {"error": str(error)}
    return {"domains": found, "library": libvirt.getVersion()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(ask(sys.argv[1])) + "\n")
