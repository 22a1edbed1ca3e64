# SPDX-License-Identifier: GPL-2.0-or-later
"""Avocado's entry points into the project: thin, and silent in a job that holds none of our cases."""
