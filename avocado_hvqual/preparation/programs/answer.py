# SPDX-License-Identifier: GPL-2.0-or-later
"""What a daemon answers over HTTP: ``python answer.py URL``, JSON on stdout. No proxy is used and no redirection followed."""

from __future__ import annotations

import http.client
import json
import sys
from urllib.parse import urlsplit

_TIMEOUT_S = 5.0
_LARGEST = 4 << 20


def ask(url: str) -> dict[str, object]:
    """Return {"status": n, "text": the answer}, else {"error": reason}."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        return {"status": answer.status, "text": answer.read(_LARGEST).decode("utf-8", "replace")}
    except (OSError, http.client.HTTPException) as error:
        return {"error": str(error) or type(error).__name__}
    finally:
        connection.close()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(ask(sys.argv[1])) + "\n")
