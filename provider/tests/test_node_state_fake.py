# SPDX-License-Identifier: GPL-2.0-or-later
"""The items that only a fake root can seed, what is left out with a reason, and what must not enter."""

from __future__ import annotations

import json
import re
from typing import ClassVar

import pytest

from provider.hvqual import node_items, node_state
from provider.hvqual.node_items import block as block_items
from provider.hvqual.node_items import cgroups, files, firewall, sockets, sysctl, system
from provider.hvqual.node_items.source import UnreachableError
from provider.tests.fake_root import fake

SYSTEMCTL = (
    "sshd.service loaded active running OpenSSH\nlibvirtd.service loaded inactive dead x\n"
    "apt-daily.service loaded active running x\nuser@0.service loaded active running x\nbad.service loaded failed failed x\n"
)


class TestFakeRoot:
    """The items that not every kernel or machine lets be seeded: modules, device mapper, systemd's units, CPU masks."""

    FILES: ClassVar = {
        "/proc/modules": "kvm 1 2 - Live 0x0\nkvm_intel 1 0 - Live 0x0\n",
        "/sys/module/kvm_intel/parameters/nested": "Y\n",
        "/sys/block/dm-0/dm/name": "vg-root\n",
        "/sys/block/dm-0/dm/uuid": "LVM-x\n",
        "/sys/block/dm-0/dm/suspended": "0\n",
        "/sys/block/dm-0/size": "2048\n",
        "/run/systemd/system/x": "",
        "/etc/systemd/system/multi-user.target.wants/sshd.service": "",
        "/sys/devices/system/cpu/online": "0-3\n",
        "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "performance\n",
        "/sys/devices/system/memory/memory0/state": "online\n",
    }

    @pytest.mark.parametrize(
        ("item", "path", "text", "told"),
        [
            (
                "modules",
                "/proc/modules",
                "kvm 1 9 - Live 0x0\nleft 1 0 - Live 0x0\nkvm_intel 1 0 - Live 0x0\n",
                "+left",
            ),
            ("modules", "/sys/module/kvm_intel/parameters/nested", "N\n", "kvm_intel nested Y -> N"),
            ("dm", "/sys/block/dm-1/dm/name", "left\n", "+left"),
            ("dm", "/sys/block/dm-0/dm/suspended", "1\n", "vg-root"),
            ("units", "/etc/systemd/system/multi-user.target.wants/left.service", "", "+enabled"),
            ("cpus", "/sys/devices/system/cpu/online", "0-2\n", "online 0-3 -> 0-2"),
            (
                "cpus",
                "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor",
                "powersave\n",
                "policy0 scaling_governor",
            ),
            ("cpus", "/sys/devices/system/memory/memory0/state", "offline\n", "offline memory blocks none -> memory0"),
        ],
    )
    def test_is_noticed_alone(self, tmp_path, item, path, text, told):
        before = node_state.capture(source=fake(tmp_path, self.FILES, systemctl=SYSTEMCTL))
        after = node_state.capture(source=fake(tmp_path, {path: text}, systemctl=SYSTEMCTL))
        changes = node_state.diff(before, after)
        assert len(changes) == 1
        assert changes[0].startswith(f"{item}: {told}")

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            (
                SYSTEMCTL.replace("sshd.service loaded active running", "sshd.service loaded inactive dead"),
                "-sshd.service",
            ),
            (SYSTEMCTL + "left.service loaded active running x\n", "+left.service"),
            (
                SYSTEMCTL.replace("libvirtd.service loaded inactive dead", "libvirtd.service loaded failed failed"),
                "+libvirtd.service",
            ),
        ],
    )
    def test_a_unit_that_lasts_is_noticed(self, tmp_path, text, told):
        before = node_state.capture(source=fake(tmp_path, self.FILES, systemctl=SYSTEMCTL))
        after = node_state.capture(source=fake(tmp_path, {}, systemctl=text))
        assert [change.split(" (")[0] for change in node_state.diff(before, after)] == [f"units: {told}"]

    @pytest.mark.parametrize(
        "line", ["apt-daily.service loaded inactive dead x", "user@7.service loaded active running x"]
    )
    def test_a_unit_that_comes_and_goes_is_not(self, tmp_path, line):
        before = node_state.capture(source=fake(tmp_path, self.FILES, systemctl=SYSTEMCTL))
        after = node_state.capture(source=fake(tmp_path, {}, systemctl=f"{SYSTEMCTL}{line}\n"))
        assert node_state.diff(before, after) == []

    def test_modules_that_come_when_sockets_are_listed_are_not(self, tmp_path):
        listed = {"/proc/modules": "tcp_diag 16384 0 - Live 0x0\ninet_diag 24576 1 tcp_diag, Live 0x0\n"}
        before = node_state.capture(source=fake(tmp_path, {**self.FILES, "/proc/modules": ""}, systemctl=SYSTEMCTL))
        after = node_state.capture(source=fake(tmp_path, listed, systemctl=SYSTEMCTL))
        assert node_state.diff(before, after) == []


class TestIgnored:
    LISTS = (
        sysctl.IGNORED,
        cgroups.IGNORED,
        block_items.IGNORED_MOUNTS,
        sockets.IGNORED_PATHS,
        system.IGNORED_UNITS,
        system.IGNORED_MODULES,
        files.IGNORED,
    )

    def test_every_exception_has_its_reason(self):
        for patterns in self.LISTS:
            for pattern, reason in patterns.items():
                re.compile(pattern)
                assert len(reason) > 5, pattern

    @pytest.mark.parametrize(
        "key",
        ["kernel/randomize_va_space", "vm/swappiness", "net/ipv4/ip_forward", "fs/file-max", "kernel/core_pattern"],
    )
    def test_settings_that_matter_are_not_among_them(self, key):
        assert not any(re.fullmatch(pattern, key) for pattern in sysctl.IGNORED)

    @pytest.mark.parametrize(
        "path",
        [
            "/var/lib/libvirt/qemu/nvram/x_VARS.fd",
            "/var/lib/libvirt/qemu/save/x.save",
            "/etc/libvirt/qemu/x.xml",
            "/var/lib/libvirt/dnsmasq/default.conf",
        ],
    )
    def test_files_that_matter_are_not_among_them(self, path):
        assert not any(re.fullmatch(pattern, path) for pattern in files.IGNORED)
        assert not any(re.fullmatch(pattern, path) for pattern in files.MADE_ON_DEMAND)


class TestStable:
    """Counters, handles, dates, leases and numbers of processes do not enter."""

    def test_leases_while_they_are_written_anew(self, tmp_path):
        place = "/var/lib/libvirt/dnsmasq"
        before = fake(tmp_path / "1", {f"{place}/default.conf": "x", f"{place}/virbr0.status": "[]"})
        meanwhile = {f"{place}/default.conf": "x", f"{place}/virbr0.status": "[]", f"{place}/virbr0.status.new": "["}
        assert files.var_lib_libvirt(fake(tmp_path / "2", meanwhile)) == files.var_lib_libvirt(before)

    def test_nft_handles_and_counters(self, tmp_path):
        def rules(packets, handle):
            rule = {
                "family": "ip",
                "table": "t",
                "chain": "c",
                "handle": handle,
                "expr": [{"counter": {"packets": packets, "bytes": 1}}],
            }
            dynamic = {"family": "ip", "table": "t", "name": "s", "flags": ["dynamic"], "elem": list(range(packets))}
            return json.dumps({"nftables": [{"metainfo": {"version": packets}}, {"rule": rule}, {"set": dynamic}]})

        lines = []
        for text in (rules(1, 2), rules(3, 4)):
            source = fake(tmp_path, nft=text)
            source.prefetch(firewall.COMMANDS)
            lines.append(firewall.nft(source))
        assert lines[0] == lines[1]
        assert any(line.startswith("rule ip t c = ") for line in lines[0])

    def test_nft_that_writes_nonsense_is_told(self, tmp_path):
        source = fake(tmp_path, nft="no JSON")
        source.prefetch(firewall.COMMANDS)
        with pytest.raises(UnreachableError):
            firewall.nft(source)

    def test_iptables_counters_and_dates(self, tmp_path):
        def saved(n):
            return f"# Generated on day {n}\n*filter\n:INPUT ACCEPT [{n}:{n}]\n-A INPUT -j DROP\nCOMMIT\n"

        lines = []
        for n in (1, 2):
            source = fake(tmp_path, iptables_save=saved(n), ip6tables_save="")
            source.prefetch(firewall.COMMANDS)
            lines.append(firewall.iptables(source))
        assert lines[0] == lines[1] == ["iptables filter :INPUT ACCEPT", "iptables filter -A INPUT -j DROP"]

    def test_sockets_of_clients(self, tmp_path):
        head = "  sl  local_address rem_address   st\n"
        source = fake(
            tmp_path,
            {
                "/proc/net/tcp": head + " 0: 0100007F:1F90 00000000:0000 0A\n 1: 0100007F:1F91 0100007F:1F90 01\n",
                "/proc/net/udp": head + " 0: 00000000:0043 00000000:0000 07\n 1: 00000000:9C40 00000000:0000 07\n",
            },
        )
        assert sockets.sockets(source) == ["tcp 127.0.0.1:8080", "udp 0.0.0.0:67"]

    def test_restarted_guest_has_the_same_process(self, tmp_path):
        def run(number):
            argv = [
                "/usr/bin/qemu-system-x86_64",
                "-name",
                "guest=g",
                "-x",
                f"/var/lib/libvirt/qemu/domain-{number}-g/m",
                f"fd={number}",
            ]
            status = "State:\tS (sleeping)\nCpus_allowed_list:\t0-1\n"
            return fake(
                tmp_path / str(number),
                {f"/proc/{number}/cmdline": "\0".join(argv) + "\0", f"/proc/{number}/status": status},
            )

        assert node_items.processes.processes(run(7)) == node_items.processes.processes(run(81))
        assert len(node_items.processes.processes(run(7))) == 1

    @pytest.mark.parametrize(
        "name", ["machine/qemu-{}-g.libvirt-qemu", "machine.slice/machine-qemu\\x2d{}\\x2dg.scope"]
    )
    def test_restarted_guest_has_the_same_control_group(self, tmp_path, name):
        mount = "1 1 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        lines = []
        for number in (7, 81):
            source = fake(tmp_path / str(number), {"/proc/self/mountinfo": mount})
            (tmp_path / str(number) / "sys/fs/cgroup" / name.format(number)).mkdir(parents=True)
            lines.append(cgroups.cgroups(source))
        assert lines[0] == lines[1]
        # The guest's own group; libvirt's partition above it comes with the first guest and stays.
        assert len(lines[0]) == 1

    def test_a_running_guest_may_write_to_its_disk(self, tmp_path):
        folder = tmp_path / "var/lib/libvirt/images"
        source = fake(
            tmp_path,
            {"/proc/5/cmdline": "/usr/bin/qemu-system-x86_64\0", "/var/lib/libvirt/images/d.img": "x" * 100_000},
        )
        (tmp_path / "proc/5/fd").mkdir()
        (tmp_path / "proc/5/fd/9").symlink_to(folder / "d.img")
        before = files.images(source)
        (folder / "d.img").write_text("y" * 200_000)
        assert files.images(source) == before
        (tmp_path / "proc/5/fd/9").unlink()
        assert files.images(source) != before
