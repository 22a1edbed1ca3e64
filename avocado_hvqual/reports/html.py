# SPDX-License-Identifier: GPL-2.0-or-later
"""report.html: self-contained; its first screen answers whether the node may join, why not, what next, what was not covered."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from urllib.parse import quote

import jinja2

from avocado_hvqual.model.qualification import Qualification
from avocado_hvqual.reports import plain, words

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"


def link(path: str) -> str:
    """Return the address of a file below the campaign's folder, or an empty text when *path* leads anywhere else."""
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or "\x00" in path:
        return ""
    return "./" + quote(path, safe="/", errors="replace")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Whatever a template prints is cleaned of what moves, turns or hides text, then escaped.
        finalize=lambda value: value if hasattr(value, "__html__") else words.safe(value),
    )
    environment.filters.update(
        link=link, moment=words.moment, state=plain.state_of, remarks=plain.notes_of, scales=plain.scales_of
    )
    return environment


def render(qualification: Qualification) -> str:
    """Return report.html; every text in it is escaped, and nothing is loaded from anywhere."""
    template = _environment().get_template("report.html.j2")
    return template.render(q=qualification, words=words, counted=words.counted)
