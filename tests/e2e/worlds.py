# SPDX-License-Identifier: GPL-2.0-or-later
"""A campaign of one short case in the lab, in whose middle the world breaks, and what is asked of it afterwards."""

import contextlib
import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from avocado_hvqual.wait import WaitTimeoutError, until

ID = "hvqual.lifecycle.destroy"
CASE = f"libvirt:{ID}:single_big"
HOLD = 60
"""Seconds that the case watches its guest: longer than any of these tests needs to break something."""


@dataclass
class Campaign:
    """A campaign that runs: its folder, the process on the machine, and what that has said."""

    node: object
    folder: Path
    process: subprocess.Popen
    root: Path

    @property
    def told(self):
        """What the run has said until now."""
        return self.folder.with_suffix(".said").read_text()

    @property
    def seen(self):
        """The folder as this process sees it."""
        return self.root / str(self.folder).lstrip("/")

    def records(self):
        """Return the whole lines of what the cases have recorded until now."""
        paths = self.seen.glob("jobs/job-*/test-results/*/observations.jsonl")
        lines = [line for path in paths for line in path.read_text().splitlines(keepends=True)]
        return [json.loads(line) for line in lines if line[-1] == "\n"]

    def step(self, name, timeout=200):
        """Wait until the case has begun a step of that name: longer than a guest has for getting ready, so that the run itself says why."""
        self.reach(lambda: any(one["name"].startswith(name) for one in self.steps()), timeout, f"the step '{name}'")

    def steps(self):
        """Return what the cases have recorded of begins and ends of steps."""
        return [one for one in self.records() if one["kind"] == "step"]

    def reach(self, condition, timeout, what):
        """Wait until *condition* is true of a run that still runs; else tell how far it came."""

        def reached():
            if self.process.poll() is not None:
                message = f"the run ended with {self.process.returncode}: {self.story()}"
                raise AssertionError(message)
            return condition()

        try:
            until(reached, timeout, what)
        except WaitTimeoutError as error:
            message = f"{error} {self.story()}"
            raise AssertionError(message) from None

    def story(self):
        """Return what the run and its guests' consoles said, and the last lines of its records: why it did not come to a step."""
        consoles = [path.read_text(errors="replace")[-600:] for path in self.seen.glob("jobs/job-*/**/console-*.log")]
        return "\n".join([self.told, *map(str, self.records()[-6:]), *consoles])

    def end(self, timeout=120):
        """Wait for the run's end and return its exit status."""
        return self.process.wait(timeout)

    def kinds(self):
        """Return the kinds of the journal's lines."""
        return [json.loads(line)["kind"] for line in (self.seen / "journal.jsonl").read_text().splitlines()]

    def verdict(self):
        """Judge the folder now, inside hv-a; return the verdict as `verdict --json` gives it, with the exit status."""
        done = self.node.inside("avocado", "hvqual", "verdict", str(self.folder), "--json")
        return {**json.loads(done.stdout), "status": done.returncode}

    def findings(self):
        """Return (kind, severity, case) -> message of what the judge finds; never a journal that somebody changed."""
        found = {(one["kind"], one["severity"], one["case"]): one["message"] for one in self.verdict()["findings"]}
        assert not [key for key in found if key[0] == "tampered-journal"], found
        return found


@contextlib.contextmanager
def campaign(node, *params, case=CASE, profile="smoke", hold=HOLD, folder=None, lab=True, wrap=(), root=Path("/")):
    """Run a campaign of one *case* by ``run --lab`` (or inside hv-a, *wrap*ped in another command) for the length of the block."""
    folder = folder or node.results() / "campaign"
    words = [f"hv_hold={hold}", *params]
    given = [word for text in words for word in ("--param", text)]
    run = ["avocado", "hvqual", "run", "--profile", profile, "--only", case, *given, "--output", str(folder)]
    line = [*run, "--lab"] if lab else ["avocado", "hvqual", "lab", "exec", "hv-a", "--", *wrap, *run]
    with folder.with_suffix(".said").open("w") as said:
        process = subprocess.Popen(
            line,
            env=node.environment,
            cwd=node.home,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            yield Campaign(node, folder, process, root)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.wait()


def mended(node, before):
    """Bring lab and host back as a user does, and hold the host to the state that it had *before*."""
    up = node.run("avocado", "hvqual", "lab", "up")
    assert up.returncode == 0, up.stdout + up.stderr
    cleaned = node.run("avocado", "hvqual", "clean", "--lab")
    assert cleaned.returncode == 0, cleaned.stdout + cleaned.stderr
    # Of the host alone: below /run the lab shows it folders of the machine.
    machine = ("-path", "/run/hvqual", "-prune", "-o")
    ours = ("/var/log/libvirt/qemu", "/run", "/var/lib/libvirt/images", *machine, "-name", "hvq-*", "-print")
    avocados = ("/var/tmp", "/tmp", "-maxdepth", "1", "-name", "avocado_*", "-print")  # noqa: S108 - where avocado makes them
    for where in (ours, avocados):
        left = node.inside("find", *where).stdout
        assert left == "", node.inside("find", *left.split(), "-ls").stdout
    after = node.state()
    assert after["digest"] == before["digest"], node.differences(before, after)


def kill_all(node, process):
    """Kill -9 the command and everything of it that runs inside the host: avocado, its runners, its tests; not libvirt's QEMUs."""
    assert node.inside("pkill", "-9", "-f", "avocado").returncode == 0, "there was nothing to kill"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
