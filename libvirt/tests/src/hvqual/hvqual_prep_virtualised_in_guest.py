# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest is run by what the node is said to have.

Use case ``hvqual.prep.hw_virt``, its half in the guest: a node whose /dev/kvm opens may still emulate every instruction.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import virtualised


@dataclass(frozen=True)
class Virtualised:
    """The accelerator without which this node is of no use; empty: whichever it has."""

    demanded_accelerator: str


def run(test, params, env):
    """
    1. Have a guest running, under the accelerator that boots guest code here.
    2. libvirt, QEMU, the host's kernel and the guest's own agree on it.
    3. It is the one that is demanded.
    """
    with case(test, params, env, Virtualised) as it, defined(it) as stand:
        stand.bring_up()
        with stand.watched():
            stand.hold()
            stand.each(virtualised.accelerated)
            stand.each(virtualised.demanded, it.own.demanded_accelerator)
