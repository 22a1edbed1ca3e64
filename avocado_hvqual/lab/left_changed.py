# SPDX-License-Identifier: GPL-2.0-or-later
"""What killed tests have left changed in the lab: some of it is the machine's own (huge pages, kernel settings) and outlives it."""

from __future__ import annotations

from avocado_hvqual import node
from avocado_hvqual.lab.paths import HOSTS, home

MEND = "'avocado hvqual lab up' and 'avocado hvqual clean --lab' put it back"


def left_changed() -> list[str]:
    """Return a sentence for each host whose undo log still holds something, or cannot be read."""
    return [sentence for name in HOSTS if (sentence := _of(name))]


def _of(name: str) -> str:
    try:
        log = node.undo_status(home(), name)
    except node.NodeError as error:
        return f"It is not known what ended tests of {name} have left changed: {error}"
    what = [*(str(entry["action"]) for entry in log["left"]), *map(str, log["broken"])]
    if not what and not log["tainted"]:
        return ""
    if not what:
        return f"{name} was not as it had been found: {'; '.join(log['tainted'])}"
    return f"Ended tests of {name} have left changed what may be this machine's own ({', '.join(what)}): {MEND}."
