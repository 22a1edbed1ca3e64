# SPDX-License-Identifier: GPL-2.0-or-later
"""
What libvirt counts of a guest, held against a load of known size, against the guest's kernel and against the host's.

An error is how far a counter's growth is from what it must be, as a share of it: 0 is exact.
"""

from __future__ import annotations

from typing import Any, Protocol

from virttest import virsh

from provider.hvqual import counters
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

MIB = 1024 * 1024
# The disk canary lies before it.
FIRST_MIB = 4
# What a ping has around its data: ICMP, IPv4 and Ethernet.
AROUND = 8 + 20 + 14
NEEDED = (
    "cpu.time",
    "vcpu.0.time",
    "balloon.rss",
    "net.0.tx.bytes",
    "net.0.rx.pkts",
    "block.0.rd.bytes",
    "block.0.wr.bytes",
)
FILE = "/run/hvq-touched"
SETTLE = 20.0


class Load(Protocol):
    """How much each guest does (parameters of the case)."""

    stat_groups: tuple[str, ...]
    load_disk_mib: int
    load_packets: int
    load_packet_bytes: int
    load_cpu: float
    load_memory_mib: int


class Meter:
    """Reads the counters of one guest before and after what it makes the guest do."""

    def __init__(self, guest: Guest, expect: Expect, load: Load) -> None:
        """Measure *guest*, which runs."""
        self.guest, self.expect, self.load, self.name = guest, expect, load, guest.name
        self.pid = expect.one_process(guest)
        self.samples: list[dict[str, int]] = []
        self._options = " ".join(f"--{group}" for group in load.stat_groups)

    def read(self) -> dict[str, int]:
        """Return what libvirt counts now; it is kept."""
        sample = counters.domstats(self._said(virsh.domstats, self._options))
        missing = [name for name in NEEDED if name not in sample]
        if missing:
            message = f"'virsh domstats {self.name} {self._options}' does not tell {', '.join(missing)}."
            fail(self.expect.record, "wrong-result", message, self.name)
        self.samples.append(sample)
        return sample

    def disk(self) -> None:
        """Have the guest write and read its first disk past its page cache; observe block_*_error (ratio)."""
        blocks = f"bs=65536 count={self.load.load_disk_mib * 16}"
        at = FIRST_MIB * 16
        wanted = self.load.load_disk_mib * MIB
        with self.expect.record.step("load the disk", self.name):
            before, inside, host = self.read(), self._diskstats(), counters.written_bytes(self.pid)
            self.guest.ask(f"dd if=/dev/zero of=/dev/vda {blocks} seek={at} oflag=direct conv=notrunc,fsync 2>&1")
            self.guest.ask(f"dd if=/dev/vda of=/dev/null {blocks} skip={at} iflag=direct 2>&1")
            after, told = self.read(), self._diskstats()
            written, read = (after[f"block.0.{way}.bytes"] - before[f"block.0.{way}.bytes"] for way in ("wr", "rd"))
            self._error("block_written_error", written, wanted)
            self._error("block_read_error", read, wanted)
            self._error("block_guest_error", written + read, sum(told) - sum(inside))
            self._ratio("block_host_ratio", counters.written_bytes(self.pid) - host, wanted)

    def network(self) -> None:
        """Have the guest ping its gateway, which answers each packet; observe net_*_error (ratio)."""
        count, size = self.load.load_packets, self.load.load_packet_bytes
        links = [str(dev.get("dev")) for dev in self.expect.truth.xml(self.name).iterfind("devices/interface/target")]
        with self.expect.record.step("load the network", self.name):
            gateway = self.guest.ask("ip route show default").split()[2]
            before, inside, host = self.read(), self._net_dev(), sum(counters.link_bytes(links))
            self.guest.ask(f"ping -q -A -c {count} -s {size} {gateway} | grep ' 0% packet loss'")
            host, after, told = sum(counters.link_bytes(links)) - host, self.read(), self._net_dev()
            grown = {
                name: counters.total(after, rf"net\.\d+\.{name}") - counters.total(before, rf"net\.\d+\.{name}")
                for name in ("tx.bytes", "rx.bytes", "tx.pkts", "rx.pkts")
            }
            self._error("net_sent_error", grown["tx.bytes"], count * (size + AROUND))
            self._error("net_received_error", grown["rx.bytes"], count * (size + AROUND))
            self._error("net_packets_error", grown["tx.pkts"] + grown["rx.pkts"], 2 * count)
            self._error("net_guest_error", grown["tx.bytes"] + grown["rx.bytes"], sum(told) - sum(inside))
            self._error("net_host_error", grown["tx.bytes"] + grown["rx.bytes"], host)

    def cpu(self) -> None:
        """Have one vCPU busy for a while; observe cpu_burnt_ratio, cpu_*_error and vcpu_host_error (ratio)."""
        with self.expect.record.step("load a CPU", self.name):
            self.guest.ask("true")
            before, process, threads = self.read(), counters.process_seconds(self.pid), counters.vcpu_seconds(self.pid)
            summed = self._cpu_stats()
            self.guest.ask(f"timeout {self.load.load_cpu:g} sh -c 'while :; do :; done'; true")
            after = self.read()
            process = counters.process_seconds(self.pid) - process
            threads = counters.vcpu_seconds(self.pid) - threads
            summed = self._cpu_stats() - summed
            used = (after["cpu.time"] - before["cpu.time"]) / 1e9
            vcpus = (counters.total(after, r"vcpu\.\d+\.time") - counters.total(before, r"vcpu\.\d+\.time")) / 1e9
            self._ratio("cpu_burnt_ratio", vcpus, self.load.load_cpu)
            self._error("cpu_host_error", used, process)
            self._error("vcpu_host_error", vcpus, threads)
            self._error("cpu_stats_error", summed, used)

    def memory(self) -> None:
        """Have the guest fill memory; observe memory_taken_error, memory_guest_error and rss_error (ratio)."""
        wanted = self.load.load_memory_mib * 1024
        with self.expect.record.step("load the memory", self.name):
            self._said(virsh.dommemstat, "--period 1 --live")
            before, free = self._fresh(), self._free()
            self.guest.ask(f"dd if=/dev/zero of={FILE} bs=1048576 count={self.load.load_memory_mib} 2>&1")
            after, now = self._fresh(), self._free()
            self._error("memory_taken_error", before["balloon.unused"] - after["balloon.unused"], wanted)
            self._error("memory_guest_error", before["balloon.unused"] - after["balloon.unused"], free - now)
            self._error("rss_error", after["balloon.rss"], counters.resident_kib(self.pid))
            self.guest.ask(f"rm {FILE}")
            self._said(virsh.dommemstat, "--period 0 --live")

    def agree(self) -> None:
        """Observe commands_agree and counters_monotonic (bool): each command's number lies between two of domstats."""
        mac = self.guest.spec.mac
        with self.expect.record.step("ask every command", self.name):
            before = self.read()
            block = counters.command_stats(self._said(virsh.domblkstat, "vda", ""))
            link = counters.command_stats(self._said(virsh.domifstat, mac))
            python = self._python()
            after = self.read()
            told = {
                **{f"block.0.{name}": block.get(f"{way}_{what}") for name, way, what in _BLOCK},
                **{f"net.0.{name}": link.get(f"{way}_{what}") for name, way, what in _LINK},
                **{f"{name} by libvirt-python": python.get(name) for name in before if counters.GROWS.match(name)},
            }
            wrong = [
                f"{name} {value} (between {before.get(key)} and {after.get(key)})"
                for name, value in told.items()
                for key in [name.split(" ")[0]]
                if value is None or not before.get(key, 0) <= value <= after.get(key, -1)
            ]
            back = counters.went_back(self.samples)
            self.expect.record.observe("commands_agree", not wrong and len(told) > len(_BLOCK), "bool", self.name)
            self.expect.record.observe("counters_monotonic", not back and len(self.samples) > 1, "bool", self.name)
            if wrong or back:
                said = f"disagree: {', '.join(wrong) or 'none'}; went back: {', '.join(back) or 'none'}"
                fail(self.expect.record, "wrong-result", f"Of the counters of '{self.name}' {said}.", self.name)

    def _said(self, operation: Any, *options: str) -> str:
        """Return what virsh writes; TestFail when it refuses."""
        done = operation(self.name, *options, uri=self.expect.uri, ignore_status=True, timeout=self.expect.timeout)
        if done.exit_status:
            message = f"'virsh {operation.__name__} {self.name}' was refused: {done.stderr_text.strip()}"
            fail(self.expect.record, "operation-refused", message, self.name)
        return str(done.stdout_text)

    def _python(self) -> dict[str, int]:
        """Return the same counters by libvirt-python."""
        domain = self.expect.truth.lookup(self.name)
        return dict(self.expect.truth.connection.domainListGetStats([domain])[0][1])

    def _fresh(self) -> dict[str, int]:
        """Return the counters after the guest's balloon told its own anew, twice: the first may be of before."""
        seen: list[int] = []

        def told() -> dict[str, int]:
            sample = self.read()
            if sample.get("balloon.last-update", 0) not in seen:
                seen.append(sample.get("balloon.last-update", 0))
            return sample if len(seen) > 2 and "balloon.unused" in sample else {}  # noqa: PLR2004 - now, and two more

        try:
            return until(told, SETTLE, f"the balloon of '{self.name}' to tell its memory", 0.2)
        except WaitTimeoutError as error:
            fail(self.expect.record, "wrong-result", f"libvirt tells no memory of the guest. {error}", self.name)

    def _diskstats(self) -> tuple[int, int]:
        return counters.diskstats(self.guest.ask("cat /proc/diskstats"))["vda"]

    def _net_dev(self) -> tuple[int, int]:
        return counters.net_dev(self.guest.ask("cat /proc/net/dev"))

    def _free(self) -> int:
        return counters.meminfo(self.guest.ask("cat /proc/meminfo"))["MemFree"]

    def _cpu_stats(self) -> float:
        return counters.cpu_stats(self._said(virsh.cpu_stats, "--total")).get("cpu_time", 0.0)

    def _ratio(self, name: str, found: float, wanted: float) -> None:
        self.expect.record.observe(name, found / wanted if wanted else 0.0, "ratio", self.name)

    def _error(self, name: str, found: float, wanted: float) -> None:
        """Observe how far *found* is from *wanted*; what should have grown and did not is 1 off at the least."""
        self.expect.record.observe(name, abs(found / wanted - 1) if wanted > 0 else 1.0, "ratio", self.name)


_BLOCK = tuple(
    (f"{way}.{what}", way, name) for way in ("rd", "wr") for what, name in (("bytes", "bytes"), ("reqs", "req"))
)
_LINK = tuple(
    (f"{way}.{what}", way, name) for way in ("rx", "tx") for what, name in (("bytes", "bytes"), ("pkts", "packets"))
)
