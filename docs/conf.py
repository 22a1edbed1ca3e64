# SPDX-License-Identifier: GPL-2.0-or-later
"""Sphinx configuration: `sphinx-build -n -W docs docs/_build`."""

import re
from pathlib import Path

project = "avocado-hvqual"
copyright = "the avocado-hvqual authors, GPL-2.0-or-later"
text = (Path(__file__).resolve().parents[1] / "avocado_hvqual" / "__init__.py").read_text(encoding="utf-8")
release = version = re.search(r'__version__ = "([^"]+)"', text).group(1)
exclude_patterns = ["_build"]
nitpicky = True
html_theme = "alabaster"
highlight_language = "none"
