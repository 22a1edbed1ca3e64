# SPDX-License-Identifier: GPL-2.0-or-later
"""Plan, run, judge and report the qualification of a hypervisor node."""

__version__ = "0.1.0"
