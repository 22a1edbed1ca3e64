# SPDX-License-Identifier: GPL-2.0-or-later
"""The events of each QEMU are heard, also where several are listened to over one connection."""

import json
import sys
from pathlib import Path

import pytest
from micro_guest import in_host

from avocado_hvqual import lab

pytestmark = pytest.mark.lab
ROOT = Path(__file__).resolve().parents[2]

LISTENS = r"""
import contextlib, json, os, sys
sys.path.insert(0, sys.argv[1])
import libvirt
from provider.hvqual import qemu_events, wait
from provider.hvqual.libvirt_truth import Libvirt

XML = '''<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
<devices><controller type='usb' model='none'/><memballoon model='none'/></devices></domain>'''
NAMES = [f"hvq-heard-{os.getpid()}-{number}" for number in range(3)]
with Libvirt("qemu:///system") as truth, contextlib.ExitStack() as stack:
    auto = libvirt.VIR_DOMAIN_START_AUTODESTROY | libvirt.VIR_DOMAIN_START_PAUSED
    domains = [truth.connection.createXML(XML.format(name=name), auto) for name in NAMES]
    heard = [stack.enter_context(qemu_events.heard(truth, name)) for name in NAMES]
    for domain in domains:
        domain.resume()
    with contextlib.suppress(wait.WaitTimeoutError):
        wait.until(lambda: all(it.of("RESUME") for it in heard), 10.0, "each QEMU to tell that it goes on")
    print(json.dumps([len(it.of("RESUME")) for it in heard]))
    for domain in domains:
        domain.destroy()
"""


def test_each_of_several_qemus_is_heard_and_each_alone(lab_home):
    """libvirt 9.0: of several domains that are listened to over one connection, only the first one's events came."""
    assert lab.up().up
    said = in_host("hv-a", sys.executable, "-c", LISTENS, str(ROOT))
    assert json.loads(said.splitlines()[-1]) == [1, 1, 1]
