# SPDX-License-Identifier: GPL-2.0-or-later
"""What remedies do on a node with systemd and modules, as a real one showed: each of these was wrong there once."""

import pytest

from avocado_hvqual import node as node_state
from avocado_hvqual.plugins.cli import dispatch
from avocado_hvqual.preparation import cli_prepare, prepare, registry, restore, running
from avocado_hvqual.preparation.journal import Journal
from avocado_hvqual.preparation.model import Answer, Check, Defect, Fact, Ran, Remedy, looked
from tests.preparation import seeds, services, services_broken
from tests.preparation.services import BOOTED, LIBVIRT_ANSWER, edited, systemd
from tests.preparation.worlds import folder_check, node

EXPORTER = "prometheus-libvirt-exporter.service"
MODULES_DEP = "/lib/modules/6.1.0-25-amd64/modules.dep"
TIME_SERVICE = "timedatectl show --property=CanNTP --property=NTP"
TIME_UNIT = "systemd-timesyncd.service"
LEFT = ("addnhosts", "conf", "hostsfile")
UNLOADED = {"/sys/module/bridge/initstate": None, "/sys/module/stp/initstate": None}


def ask(seen, name):
    (check,) = (check for check in registry.CHECKS if check.name == name)
    return running.ask(seen, check)


def remedy(seen, name, subject):
    (defect,) = (it for it in ask(seen, name).looked.defects if it.subject == subject)
    return defect.remedy


@pytest.mark.parametrize(
    ("service", "last", "undone"),
    [
        ("CanNTP=yes\nNTP=no\n", ("timedatectl", "set-ntp", "true"), 1),
        ("CanNTP=no\nNTP=no\n", ("install", "--yes", "--no-install-recommends", "systemd-timesyncd"), 0),
        ("CanNTP=yes\nNTP=yes\n", (), 0),
    ],
)
def test_the_clock_gets_a_service_before_that_is_switched_on_and_one_that_is_on_is_not_switched_off(
    service, last, undone
):
    free = {
        "ask clock": Ran(0, '{"synchronized": false, "most_error_s": 16.0}'),
        TIME_SERVICE: Ran(0, service),
        f"systemctl is-enabled {TIME_UNIT}": Ran(1, ""),  # systemd 252 tells of a unit that is not there on stderr
    }
    mends = remedy(seeds.NODE.changed(BOOTED, free), "time.sync", "clock")
    assert (mends.commands[-1] if mends.commands else ())[-len(last) :] == last
    assert len(mends.undo) == undone
    assert bool(mends.later) is bool(last)


@pytest.mark.parametrize(
    ("state", "commands", "undo", "summary"),
    [
        ("masked", "systemctl unmask UNIT", "systemctl mask UNIT", "Take the mask off UNIT."),
        (
            "masked-runtime",
            "systemctl unmask --runtime UNIT",
            "systemctl mask --runtime UNIT",
            "Take the mask off UNIT.",
        ),
        ("static", "", "", "See why timedatectl does not count UNIT as a time service: it is static."),
    ],
)
def test_a_time_service_that_is_masked_is_not_installed_again(state, commands, undo, summary):
    free = {
        "ask clock": Ran(0, '{"synchronized": false, "most_error_s": 16.0}'),
        TIME_SERVICE: Ran(0, "CanNTP=no\nNTP=no\n"),
        f"systemctl is-enabled {TIME_UNIT}": Ran(1, f"{state}\n"),
    }
    mends = remedy(seeds.NODE.changed(BOOTED, free), "time.sync", "clock")
    assert mends.summary == summary.replace("UNIT", TIME_UNIT)
    assert [" ".join(words) for words in mends.commands] == [commands.replace("UNIT", TIME_UNIT)] * bool(commands)
    assert [" ".join(words) for words in mends.undo] == [undo.replace("UNIT", TIME_UNIT)] * bool(undo)
    assert not mends.later, "that a clock will be right is not said before a service is there"


@pytest.mark.parametrize(
    ("state", "undo"),
    [("inactive", ("systemctl", "stop", "kdump-tools.service")), ("active", ("kdump-config", "unload"))],
)
def test_a_crash_kernel_that_was_unloaded_is_loaded_by_a_service_that_is_still_active(state, undo):
    seen = seeds.NODE.changed(
        {**BOOTED, "/sys/kernel/kexec_crash_loaded": "0\n"},
        {"systemctl is-active kdump-tools.service": Ran(0 if state == "active" else 3, f"{state}\n")},
    )
    mends = remedy(seen, "kdump", "kdump")
    assert mends.commands == (("systemctl", "restart", "kdump-tools.service"),)
    assert mends.undo == (undo,)


def test_modules_that_come_with_one_go_with_it():
    dep = "kernel/net/bridge/bridge.ko: kernel/net/802/stp.ko kernel/net/llc/llc.ko\nkernel/net/802/stp.ko:\n"
    for there, gone in (({}, ["bridge", "stp", "llc"]), ({"/sys/module/llc/initstate": "live"}, ["bridge", "stp"])):
        seen = seeds.NODE.changed({**UNLOADED, MODULES_DEP: dep, **there})
        undo = remedy(seen, "hw_virt", "driver bridge").undo
        assert undo == tuple(("modprobe", "--remove", name) for name in gone)


def test_a_module_that_is_deny_listed_is_not_said_to_be_loaded_at_boot():
    keeps = ("blacklist bridge\n", "install bridge /bin/false\n", "a b\n  install\tbridge  /bin/true  \n")
    lets = (
        "# blacklist bridge\nblacklist bridge_foo\n",
        "install bridge_foo /bin/false\n",
        "install bridge /sbin/modprobe --ignore-install bridge; true\n",
    )
    for line, applicable in [(it, False) for it in keeps] + [(it, True) for it in lets]:
        seen = seeds.NODE.changed({**UNLOADED, "/etc/modprobe.d/own.conf": line})
        mends = remedy(seen, "hw_virt", "driver bridge")
        assert mends.applicable is applicable
        assert ("/etc/modprobe.d/own.conf" in mends.summary) is not applicable


@pytest.mark.parametrize(("groups", "let_in"), [("prometheus", True), ("prometheus libvirt", False)])
def test_a_daemon_whom_libvirt_refuses_is_let_in(groups, let_in):
    (entry,) = (entry for entry in services.EXPECTED["daemons"] if entry["unit"] == EXPORTER)
    seen = services.NODE.changed(
        BOOTED,
        {
            **systemd(EXPORTER, MainPID="121"),
            **edited(LIBVIRT_ANSWER, "libvirt_up 1", "libvirt_up 0"),
            f"systemctl show {EXPORTER} --property=User --value": Ran(0, "prometheus\n"),
            "id -nG prometheus": Ran(0, f"{groups}\n"),
        },
        {"daemons": [entry]},
    )
    mends = remedy(seen, "mgmt_daemon", "daemon libvirt exporter: answer")
    assert (mends is not None) is let_in
    if let_in:
        assert mends.commands[0] == ("usermod", "--append", "--groups", "libvirt", "prometheus")
        assert mends.undo[0] == ("gpasswd", "--delete", "prometheus", "libvirt")
        assert mends.commands[-1] == mends.undo[-1] == ("systemctl", "restart", EXPORTER)


def test_what_a_network_leaves_behind_is_taken_away_or_told():
    files, commands, _expected, subject = services_broken.SEEDS["network inactive"]
    first = services.NODE.changed(files, commands)
    mends = remedy(first, "network.default", subject)
    assert mends.undo[-1] == ("rm", "-f", *(f"/var/lib/libvirt/dnsmasq/default.{it}" for it in LEFT))
    assert "until the next reboot" in mends.irreversible
    there = {f"/var/lib/libvirt/dnsmasq/default.{it}": "" for it in LEFT}
    again = first.changed({**there, "/sys/module/nf_conntrack/initstate": "live"})
    mends = remedy(again, "network.default", subject)
    assert (mends.undo[-1][0], mends.irreversible) == ("virsh", "")


def test_a_dpkg_that_does_not_answer_in_time_says_nothing_of_the_kernel():
    late = {"dpkg -S /boot/vmlinuz-6.1.0-25-amd64": Ran(None, "", "did not end within 60 s")}
    result = ask(seeds.NODE.changed(commands=late), "kernel.level")
    assert (result.answer, result.looked.defects) == (Answer.UNKNOWN, ())


def test_what_then_needs_hands_is_not_told_as_mended(tmp_path):
    """As a module that is loaded, and a firmware that has to be switched on besides."""

    def look(_node):
        mends = Remedy("By hand.") if (tmp_path / "a").is_dir() else Remedy("Make it.", (("mkdir", f"{tmp_path}/a"),))
        return looked([Fact("a", 1, "b")], [Defect("folders", "missing", "there", mends)])

    outcomes, _ = prepare.prepare(node(), [Check("c", "", "Why.", look)], Journal(tmp_path, "local"), [].append)
    assert [outcome.status for outcome in outcomes] == ["failed"]


def test_a_daemon_gets_the_time_that_it_takes(tmp_path):
    slowly = (("sh", "-c", f"(sleep 0.3; mkdir {tmp_path}/made) >/dev/null 2>&1 &"),)
    check = folder_check(tmp_path / "made", commands=slowly, within=10.0)
    outcomes, after = prepare.prepare(node(), [check], Journal(tmp_path / "home", "local"), [].append)
    assert [outcome.status for outcome in outcomes] == ["mended"]
    assert after[0].answer is Answer.MET


def test_the_record_stays_while_something_differs(tmp_path, monkeypatch, capsys):
    """What the kernel holds goes with a reboot: only after that it can be seen that the node is what it was."""
    monkeypatch.setenv("AVOCADO_HVQUAL_HOME", str(tmp_path))
    monkeypatch.setattr(cli_prepare.asking, "demand_root", lambda _what: None)
    before, after = ({"digest": name, "items": {}} for name in ("before", "after"))
    now = [after]
    monkeypatch.setattr(node_state, "capture", lambda _uri: node_state.State(now[0]["digest"], now[0]))
    monkeypatch.setattr(node_state, "diff", lambda one, two: ["modules: +llc"] if one.digest != two.digest else [])
    journal = Journal(tmp_path, cli_prepare.host_id())
    journal.keep_before(before)
    assert dispatch(["node", "restore"]) == 72
    assert "after it. 'node restore --forget' drops" in capsys.readouterr().out
    now[0] = before
    assert (dispatch(["node", "restore"]), journal.before()) == (0, None)
    journal.keep_before(before)
    now[0] = after
    assert (dispatch(["node", "restore", "--forget"]), journal.before()) == (72, None)


def test_of_many_differences_of_a_kind_a_terminal_gets_the_first_and_their_number():
    many = [f"nft: +chain {number}" for number in range(9)]
    few = [f"modules: +{name}" for name in "abcdef"]
    assert list(cli_prepare.shown([*many, *few, "units: +x"])) == [
        *many[:5],
        "nft: and 4 more ('node restore --json' lists all)",
        *few,
        "units: +x",
    ]
    assert list(cli_prepare.shown([])) == []


@pytest.mark.parametrize(
    ("change", "boot"),
    [
        ("sysctl: net/ipv4/tcp_mem 44223 58965 88446 -> 44223 58966 88446", True),
        ("sysctl: net/ipv4/udp_mem 88446 117931 176892 -> 88449 117932 176898", True),
        ("sysctl: kernel/threads-max 31000 -> 31001", True),
        ("sysctl: net/ipv4/tcp_mem 44223 58965 88446 -> 44223 58965 98446", False),
        ("sysctl: net/ipv4/tcp_mem 44223 58965 88446 -> 44223 58965", False),
        ("sysctl: vm/swappiness 60 -> 60", False),
        ("sysctl: vm/min_free_kbytes 60000 -> 120000", False),
        ("sysctl: +net/ipv4/tcp_mem (1 2 3)", False),
        ("modules: +tun", False),
    ],
)
def test_what_the_kernel_computes_at_each_boot_is_no_difference_unless_somebody_set_it(change, boot):
    assert restore.of_the_boot(change) is boot
