# SPDX-License-Identifier: GPL-2.0-or-later
"""What two runs of one avocado must have in common, whatever is installed beside it."""

from __future__ import annotations

import json
import re

# What differs between two runs of one avocado: ids, times, and the paths of the two environments.
VARIABLE = [
    (r"\b[0-9a-f]{40}\b", "ID"),
    (r"job-\d{4}-\d\d-\d\dT\d\d\.\d\d-[0-9a-f]{7}", "JOB"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d[:.]\d\d([:.]\d\d([,.]\d+)?)?", "TIME"),
    (r"\d+\.\d+( s\b)?", "SECONDS"),
    (r"avocado_\w{8}|tmp\w{8}|\b\w{8}\b(?=/)", "TEMPORARY"),
]


def plain(text, user):
    """*text* without what may differ between two runs."""
    text = text.replace(str(user.home), "HOME").replace(str(user.root), "VENV")
    for pattern, word in VARIABLE:
        text = re.sub(pattern, word, text)
    return text


def results(user):
    """File name -> content of what the newest job of *user* left behind, logs by name only."""
    folder = (user.home / "avocado" / "job-results" / "latest").resolve()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [plain(str(path.relative_to(folder)), user) for path in files]
    told = {name: plain((folder / name).read_text(encoding="utf-8"), user) for name in ("results.tap", "results.xml")}
    return names, told, json.loads((folder / "results.json").read_text(encoding="utf-8"))
