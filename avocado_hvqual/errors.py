# SPDX-License-Identifier: GPL-2.0-or-later
"""What can go wrong outside a test: each error says in one sentence what to do next."""

from __future__ import annotations


class HvqualError(Exception):
    """Raised when a command cannot go on; its text is the one sentence that the user reads (exit status 2)."""


class DefinitionError(HvqualError):
    """Raised when a policy, ledger, flavor file, profile or cfg is wrong; the text begins with file:line."""


class JournalError(HvqualError):
    """Raised when a journal or an observations file cannot be read as what it claims to be; the text begins with file:line."""


class PlanError(HvqualError):
    """Raised when a plan selects nothing or names something unknown."""


class LabError(HvqualError):
    """Raised when the two-host lab cannot be brought up, asked or taken down."""


class ImageError(HvqualError):
    """Raised when a guest image cannot be built or does not match its manifest."""


class BuildError(HvqualError):
    """Raised when QEMU or a kernel cannot be built from its source, packed or installed."""


class RegistrationError(HvqualError):
    """Raised when the provider cannot be registered with avocado-vt."""


class TrackerError(HvqualError):
    """Raised when a bug tracker, the key to it or this desk's notes on it cannot be used."""
