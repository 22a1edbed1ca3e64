# SPDX-License-Identifier: GPL-2.0-or-later
"""
A disk that is there already becomes a guest, by its domain's XML and by virt-install, and holds for it what it held before.

Use case ``hvqual.lifecycle.import``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import importing
from provider.hvqual.pools import covering


@dataclass(frozen=True)
class Import:
    """By which ways the guests are imported: several guests take them in turn, one guest takes each."""

    import_methods: tuple[str, ...]


def run(test, params, env):
    """
    1. Put something known on the disk of a guest that libvirt does not know.
    2. Import it: persistent, as asked for; by XML also stable when libvirt's own XML is defined again. It boots.
    3. It reads what the disk held, which nobody has written since; it has the address that was leased to its MAC.
    4. Watch it for a while; pull its power: the image is its owner's again.
    """
    with case(test, params, env, Import) as it, defined(it) as stand:
        able = importing.methods(it.own.import_methods, it.record)
        with covering(stand.truth.connection, stand.expect.uri, it.wanted.disk_folder, it.token):
            for by in importing.turns([guest.name for guest in stand.guests], able):
                stand.each(importing.imported, by)
