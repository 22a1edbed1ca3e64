# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration files of one lab host, as text."""

from __future__ import annotations

import contextlib
import grp
import pwd
import uuid

from avocado_hvqual.lab.paths import FABRIC_ADDRESSES, HOSTS

#: Bridge in each host that joins it, and guests that ask for it, to the fabric.
FABRIC_BRIDGE = "br0"
FABRIC_DEVICE = "fab0"


def host_uuid(lab_id: str, name: str) -> str:
    """Return the identity that libvirtd of host *name* announces; the same after each power-on, as firmware would have it."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{lab_id}.lab.avocado-hvqual.example"))


def machine_id(lab_id: str, name: str) -> str:
    """Return the machine-id of host *name*: two hosts of one are taken for each other."""
    return uuid.uuid5(uuid.NAMESPACE_DNS, f"machine-id.{name}.{lab_id}.lab.avocado-hvqual.example").hex


def socket_group() -> str:
    """Return who besides root may use libvirtd's socket: the distribution's group for that, where libvirt's package made one."""
    for group in ("libvirt", "libvirtd"):
        with contextlib.suppress(KeyError):
            return grp.getgrnam(group).gr_name
    return "root"


def libvirtd_conf(lab_id: str, name: str) -> str:
    """
    Libvirtd listens on its socket and, for migrations, on the fabric's address without authentication: only the lab is there.

    There is no polkit in a host, so it is the socket's mode that keeps users out who are not in the group.
    """
    return f"""listen_tls = 0
listen_tcp = 1
listen_addr = "{FABRIC_ADDRESSES[name]}"
auth_tcp = "none"
auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_group = "{socket_group()}"
unix_sock_rw_perms = "0770"
host_uuid = "{host_uuid(lab_id, name)}"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
"""


def qemu_conf(name: str, user: str = "root") -> str:
    """
    Return how libvirt runs QEMU: as root, to whom the shared storage belongs on both hosts, or as another *user*, as a node does.

    Only then are files given to that user as long as a guest has them, and their owner remembered. `KeyError` where there is no such user.
    """
    whose = 'user = "root"\ngroup = "root"\nremember_owner = 0'
    if user != "root":
        whose = f'user = "{user}"\ngroup = "{_group_of(user)}"\nremember_owner = 1'
    return f"""security_driver = "none"
{whose}
vnc_listen = "127.0.0.1"
migration_host = "{FABRIC_ADDRESSES[name]}"
migration_address = "{FABRIC_ADDRESSES[name]}"
"""


def _group_of(user: str) -> str:
    """Return the group of *user*: the one of his name, as distributions give it to libvirt's own user, else his first one."""
    first = pwd.getpwnam(user).pw_gid
    with contextlib.suppress(KeyError):
        return grp.getgrnam(user).gr_name
    return grp.getgrgid(first).gr_name


def default_network() -> str:
    """
    The NAT network, with the same addresses on each host, so that a guest that moves or was saved keeps its gateway.

    That goes for the bridge's MAC address too: a guest that remembers another one says nothing for half a minute.

    Its DHCP server does not ping an address before it offers it: that costs each guest's first lease 3 s.
    """
    return """<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'>
  <name>default</name>
  <forward mode='nat'/>
  <bridge name='virbr0' stp='off' delay='0'/>
  <mac address='52:54:00:68:76:71'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp>
  </ip>
  <dnsmasq:options><dnsmasq:option value='no-ping'/></dnsmasq:options>
</network>
"""


def fabric_network() -> str:
    """The network whose guests stand on the fabric itself: their gateway is outside both hosts."""
    return f"""<network>
  <name>fabric</name>
  <forward mode='bridge'/>
  <bridge name='{FABRIC_BRIDGE}'/>
</network>
"""


def hosts_file() -> str:
    """/etc/hosts of every lab host."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    return "".join(f"{line}\n" for line in [*lines, *(f"{FABRIC_ADDRESSES[name]} {name}" for name in HOSTS)])


def qemu_wrapper(qemu: str) -> str:
    """The program that stands where the distribution's QEMU was; the QEMU under test finds its firmware beside itself."""
    quoted = qemu.replace("'", "'\\''")
    return f"#!/bin/sh\nexec '{quoted}' \"$@\"\n"
