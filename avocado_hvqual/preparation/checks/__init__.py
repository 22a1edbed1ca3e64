# SPDX-License-Identifier: GPL-2.0-or-later
"""One file a question to a node; avocado_hvqual/preparation/registry.py lists them all."""
