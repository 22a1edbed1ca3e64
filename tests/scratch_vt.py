# SPDX-License-Identifier: GPL-2.0-or-later
"""A scratch avocado-vt data folder with a provider of tiny cases, so that hooks and campaigns run for real without a VM."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

ROOT = Path(__file__).resolve().parents[1]

CFG = """\
- hvqual.scratch:
    virt_test_type = qemu
    type = hvq_scratch_case
    vms = ""
    main_vm = ""
    images = ""
    cdroms = ""
    start_vm = no
    skip_image_processing = yes
    kill_vm = no
    kill_unresponsive_vms = no
    take_regular_screendumps = no
    store_vm_info = no
    verify_host_dmesg = no
    verify_guest_dmesg = no
    store_libvirt_vm_logs = no
    nettype = user
    hv_profile = lab
    hv_phase = hypervisor
    hv_category = scratch
    hv_host_config = single_big
    hv_impact = none
    hv_components = qemu
    hv_maturity = lab-proven
    hv_observations = answer
    hv_limit_answer = max <= 10 s
    hv_timeout = 20
    variants:
"""

LEAF = """\
        - {label}:
            hv_id = hvqual.scratch.{label}
            hv_scratch = {label}
"""

CLOUD = """\
        - cloud:
            hv_id = hvqual.scratch.cloud
            hv_scratch = pass
            hv_phase = cloud
"""

LEAVES = (
    "pass",
    "unmet",
    "fail",
    "error",
    "cancel",
    "skip",
    "warn",
    "silent",
    "hang",
    "die",
    "killed_runner",
    "once",
    "buggy",
    "absent",
    "patient",
)

TEST = '''\
"""One case of the scratch provider: does what hv_scratch says, and writes observations.jsonl as the real helpers do."""

import json
import os
import signal
import time

from avocado.core import exceptions


def run(test, params, env):
    lines = open(os.path.join(test.logdir, "observations.jsonl"), "x")
    state = {"seq": 0}
    key = ":".join([params["vm_type"], params["hv_id"], params["hv_host_config"]])
    token = "%08x" % (int(time.time() * 1000) & 0xFFFFFFFF)

    def write(kind, **data):
        lines.write(json.dumps({"kind": kind, "seq": state["seq"], "mono": time.monotonic(), **data}) + "\\n")
        lines.flush()
        state["seq"] += 1

    def mark(what):
        try:
            with open("/dev/kmsg", "w") as log:
                log.write("<6>hvqual: %s %s %s\\n" % (what, key, token))
        except OSError:
            pass

    given = {name: params[name] for name in params if name.startswith("hv_")}
    boot_id = open("/proc/sys/kernel/random/boot_id").read().strip()
    who = {"case": key, "id": params["hv_id"], "profile": params["hv_profile"], "boot_id": boot_id, "pid": os.getpid()}
    write("begin", scale={}, params=given, wall=time.time(), **who)
    mark("begin")
    write("node_state", when="before", digest="0" * 64)
    what = params["hv_scratch"]
    # What goes well another day: these hang, fail or are cancelled until a file says that it is mended.
    mended = os.path.exists(os.path.join(os.environ["AVOCADO_HVQUAL_HOME"], what))
    until_then = {"once": "hang", "buggy": "fail", "absent": "cancel"}
    what = ("pass" if mended else until_then[what]) if what in until_then else what
    if what == "hang":
        open(os.path.join(test.logdir, "pid"), "w").write(str(os.getpid()))
        time.sleep(600)
    if what == "patient":
        # Goes on until somebody was told.
        latest = time.monotonic() + 60
        while not os.path.exists(os.path.join(os.environ["AVOCADO_HVQUAL_HOME"], "told")) and time.monotonic() < latest:
            time.sleep(0.05)
        what = "pass"
    if what == "die":
        os._exit(1)
    if what == "killed_runner":
        os.kill(os.getppid(), signal.SIGKILL)
        os._exit(1)
    if what not in ("silent", "error", "cancel", "skip"):
        value = 11.0 if what == "unmet" else 1.5
        write("observation", name="answer", value=value, unit="s", samples=1, vm=None)
        write("criterion", observation="answer", limit=params["hv_limit_answer"], answer="unmet" if what == "unmet" else "met")
    write("node_state", when="after", digest="0" * 64, differences=[])
    mark("end")
    error = {
        "unmet": exceptions.TestFail("'answer' saw 11 where 'max <= 10 s' is the limit"),
        "fail": exceptions.TestFail("The product did wrong."),
        "error": exceptions.TestError("The condition was not established."),
        "cancel": exceptions.TestCancel("no vhost-net"),
        "skip": exceptions.TestSkipError("skipped"),
        "warn": exceptions.TestWarn("warned"),
    }.get(what)
    status = {"unmet": "fail", "skip": "cancel", "silent": "pass", "warn": "error"}.get(what, what)
    write("end", status=status, message=str(error or ""), wall=time.time())
    if error:
        raise error
'''

LOCKUP = "watchdog: BUG: soft lockup - CPU#0 stuck for 23s! [seeded]"

SEED_LOG = f"""
from avocado_hvqual.health import kmsg, marker
whole = kmsg.Reader.read_new
def seeded(self):
    seen = whole(self)
    for place, record in enumerate(list(seen.records)):
        mark = marker.of(record)
        if mark and mark.what == "begin" and mark.subject == "qemu:hvqual.scratch.pass:single_big":
            seen.records.insert(place + 1, kmsg.Record(record.seq, record.usec, 4, 0, "{LOCKUP}"))
    return seen
kmsg.Reader.read_new = seeded
"""
"""
Code that lets a lockup be read from the kernel log during the case 'pass'.

Not written to the real log: that one belongs to every host of this machine, so another campaign's verdict would suffer.
"""

ENTRY_POINTS = """\
[avocado.plugins.job.prepost]
hvqual = avocado_hvqual.plugins.result:HvqualJob
[avocado.plugins.result_events]
hvqual = avocado_hvqual.plugins.result:HvqualEvents
"""


@dataclass(frozen=True)
class Scratch:
    """A home of its own in which avocado and avocado-vt know the scratch provider and our result hook."""

    root: Path
    extra: dict[str, str] = field(default_factory=dict)

    def environment(self, **more: str) -> dict[str, str]:
        """Return the variables under which a process lives in this home."""
        kept = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "AVOCADO_HVQUAL_HOME"}}
        paths = f"{self.root / 'entry-points'}:{ROOT}"
        binaries = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        own = {
            "HOME": str(self.root / "home"),
            "PYTHONPATH": paths,
            "PATH": binaries,
            "AVOCADO_HVQUAL_HOME": str(self.root / "state"),
        }
        return {**kept, **own, **self.extra, **more}

    def run(self, *command: str, timeout: float = 120, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command in this home."""
        return subprocess.run(
            command,
            env=self.environment(**more),
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def python(self, code: str, *arguments: str, timeout: float = 120, **more: str) -> subprocess.CompletedProcess[str]:
        """Run Python code in this home."""
        return self.run(sys.executable, "-c", code, *arguments, timeout=timeout, **more)

    def avocado(self, *arguments: str, timeout: float = 120, **more: str) -> subprocess.CompletedProcess[str]:
        """Run avocado in this home."""
        return self.run(sys.executable, "-m", "avocado", *arguments, timeout=timeout, **more)

    def bootstrap(self, vt_type: str = "qemu") -> None:
        """Let avocado-vt generate its cfgs of a backend, again after each change of a cfg of ours."""
        made = self.avocado("vt-bootstrap", "--vt-type", vt_type, "--vt-no-downloads", "--yes-to-all")
        if made.returncode != 0:
            message = f"The scratch home cannot be made: {made.stdout}{made.stderr}"
            raise RuntimeError(message)

    def write_cfg(self, cfg: str) -> None:
        """Replace the cfg of the scratch cases."""
        _write(self.root / "tree/qemu/tests/cfg/hvq_scratch_case.cfg", cfg)
        self.bootstrap()

    def results(self) -> Path:
        """Return the folder of the latest job."""
        return (self.root / "results" / "latest").resolve()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def build(root: Path, cfg: Optional[str] = None) -> Scratch:
    """Return a ready home below *root*; ``cfg`` replaces the cfg of the scratch cases."""
    data = root / "data"
    paths = f"[datadir.paths]\nbase_dir = {data}\ndata_dir = {data}\nlogs_dir = {root / 'results'}\n[vt]\ntype = qemu\n"
    _write(root / "home/.config/avocado/avocado.conf", paths)
    tree = root / "tree"
    leaves = "".join(LEAF.format(label=label) for label in LEAVES)
    _write(tree / "qemu/tests/cfg/hvq_scratch_case.cfg", CFG + leaves + CLOUD if cfg is None else cfg)
    _write(tree / "qemu/tests/src/hvq_scratch_case.py", TEST)
    providers = data / "avocado-vt/virttest/test-providers.d"
    _write(providers / "avocado-hvqual-scratch.ini", f"[provider]\nuri: file://{tree}\n[qemu]\nsubdir: qemu/\n")
    _write(providers / "downloads/.keep/.keep", "")
    _write(
        root / "entry-points/hvqual_scratch.egg-info/PKG-INFO",
        "Metadata-Version: 2.1\nName: hvqual-scratch\nVersion: 0\n",
    )
    _write(root / "entry-points/hvqual_scratch.egg-info/entry_points.txt", ENTRY_POINTS)
    scratch = Scratch(root)
    scratch.bootstrap()
    return scratch
