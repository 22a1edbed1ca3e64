# SPDX-License-Identifier: GPL-2.0-or-later
"""
avocado-vt's sniffer of addresses, without the second that each case waits for it.

avocado-vt 113 starts tcpdump by `aexpect.run_tail`, which waits a second for a program that is not meant to end; no parameter changes
that. Leases are seen seconds later, when a guest asks for one, so nothing is missed.
"""

from __future__ import annotations

import aexpect
from virttest import ip_sniffing


class TcpdumpAtOnce(ip_sniffing.TcpdumpSniffer):
    """tcpdump as avocado-vt runs it, not waited for."""

    def _start(self) -> None:
        if self._remote_opts:
            super()._start()
            return
        line = f"{self.command} {self.options}"
        self._process = aexpect.run_tail(line, output_func=self._output_logger_handler, timeout=0)


def instead() -> None:
    """Let avocado-vt take it wherever it would take its own: in this process, for every test that begins after this."""
    own = ip_sniffing.TcpdumpSniffer
    ip_sniffing.Sniffers = tuple(TcpdumpAtOnce if one is own else one for one in ip_sniffing.Sniffers)
