# SPDX-License-Identifier: GPL-2.0-or-later
"""One case, two ways to run a guest: through libvirt, or QEMU alone; the avocado-vt type decides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable

from avocado.core.exceptions import TestError

from provider.hvqual.case import Case
from provider.hvqual.guests import Guest


@dataclass(frozen=True)
class Backend:
    """The guests of a case and how one of them is started."""

    guests: list[Guest]
    start: Callable[[Guest], str]


@contextmanager
def guests_of(case: Case[Any]) -> Iterator[Backend]:
    """Hold the case's guests ready to be started, under the backend of its vt-type."""
    vm_type = case.params["vm_type"]
    if vm_type == "libvirt":
        # Imported here: a QEMU-only node need not have libvirt-python.
        from provider.hvqual import libvirt_guests
        from provider.hvqual.operations import power

        with libvirt_guests.defined(case) as stand:
            yield Backend(stand.guests, lambda guest: power.start(guest, stand.expect))
    elif vm_type == "qemu":
        from provider.hvqual import qemu_guests

        with qemu_guests.described(case) as below:
            yield Backend(below.guests, lambda guest: qemu_guests.start(guest, below))
    else:
        message = f"'vm_type' is '{vm_type}'; these guests are known under 'libvirt' and 'qemu'."
        raise TestError(message)
