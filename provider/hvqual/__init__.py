# SPDX-License-Identifier: GPL-2.0-or-later
"""Helpers of the hvqual tests: they import virttest, avocado, libvirt and the standard library only."""
