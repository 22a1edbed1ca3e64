# SPDX-License-Identifier: GPL-2.0-or-later
"""Is the kernel that runs the one that is wanted, where is it from, and will it be the same after the next boot."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from avocado_hvqual.preparation import answers, grub, kernel, remedies
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, looked

NOTES = "/sys/kernel/notes"
DPKG_S = 60.0
"""dpkg reads the lists of all packages; from a cold disk, beside other work, that took more than 10 s."""
# The kernel's documentation, "Tainted kernels": the letter of each bit, from bit 0.
TAINT = "PFSRMBUDAWCIOELKXTNJ"


def look(node: Node) -> Looked:
    """Hold release, command line, taint, origin, build and boot entry against the description."""
    wanted, release = node.expected["kernel"], kernel.release(node)
    if not release:
        return looked(unseen=["'/proc/sys/kernel/osrelease' cannot be read."])
    facts, unseen = [Fact("release", release, "uname -r")], list[str]()
    defects = [
        *_release(release, wanted),
        *_cmdline(node, wanted, facts, unseen),
        *_taint(node, wanted, facts, unseen),
        *_build(node, wanted, facts, unseen),
    ]
    if wanted["packaged"]:
        defects += _package(node, release, facts, unseen)
    if wanted["default_entry"]:
        defects += _default(node, release, facts, unseen)
    return looked(facts, defects, unseen)


def _release(release: str, wanted: dict[str, Any]) -> Iterator[Defect]:
    expected = [f"fits '{wanted['release']}'"] if wanted["release"] else []
    expected += [f"{wanted['minimum']} or later"] if wanted["minimum"] else []
    fits = re.search(wanted["release"], release) is not None and answers.at_least(release, wanted["minimum"])
    if not fits:
        summary = "Install the kernel that is wanted and boot it; scripts/build-kernel makes one of your own."
        yield Defect("kernel release", release, " and ".join(expected), remedies.by_hand(summary))


def _cmdline(node: Node, wanted: dict[str, Any], facts: list[Fact], unseen: list[str]) -> Iterator[Defect]:
    text = node.read("/proc/cmdline")
    if text is None:
        unseen.append("'/proc/cmdline' cannot be read.")
        return
    facts.append(Fact("command line", text.strip(), "/proc/cmdline"))
    for word in wanted["cmdline"]:
        if word not in text.split():
            defaults = node.distribution.called("paths", "grub defaults")
            summary = f"Add '{word}' to GRUB_CMDLINE_LINUX in {defaults}, run update-grub, and reboot."
            yield Defect(f"kernel argument {word}", "not there", "on the command line", remedies.by_hand(summary))


def _taint(node: Node, wanted: dict[str, Any], facts: list[Fact], unseen: list[str]) -> Iterator[Defect]:
    text = (node.read("/proc/sys/kernel/tainted") or "").strip()
    if not text.isdigit():
        unseen.append("'/proc/sys/kernel/tainted' cannot be read.")
        return
    value = int(text)
    named = {letter for bit, letter in enumerate(TAINT) if value >> bit & 1}
    named |= {f"bit {bit}" for bit in range(len(TAINT), value.bit_length()) if value >> bit & 1}
    facts.append(Fact("taint", value, "/proc/sys/kernel/tainted"))
    foreign = sorted(named - set(wanted["allowed_taint"]))
    if foreign:
        accepted = f"none but {wanted['allowed_taint']}" if wanted["allowed_taint"] else "none"
        summary = "See the kernel log for what tainted it (a foreign module, an oops), remove the cause, and reboot."
        yield Defect("kernel taint", f"{value} ({' '.join(foreign)})", accepted, remedies.by_hand(summary))


def _build(node: Node, wanted: dict[str, Any], facts: list[Fact], unseen: list[str]) -> Iterator[Defect]:
    facts.append(Fact("build", (node.read("/proc/version") or "").strip(), "/proc/version"))
    found, why = answers.build_id(node, NOTES)
    facts.append(Fact("build id", found or "none", NOTES))
    if wanted["build_id"] and not found:
        unseen.append(f"The running kernel's build id cannot be read: {why}.")
    elif wanted["build_id"] and found != wanted["build_id"]:
        yield Defect("kernel build id", found, wanted["build_id"], remedies.by_hand("Boot the build that is wanted."))


def _package(node: Node, release: str, facts: list[Fact], unseen: list[str]) -> Iterator[Defect]:
    """The image on disk belongs to a package, and is the one that runs: an upgrade that keeps the release exchanges it unseen."""
    image = f"/boot/vmlinuz-{release}"
    owner = node.run(("dpkg", "-S", image), timeout=DPKG_S)
    if owner.status is None:
        unseen.append(f"Whose '{image}' is could not be asked: {owner.why}.")
        return
    if not owner.ok:
        expected = "belongs to an installed package"
        summary = "Install the kernel as a package, as scripts/build-kernel does, and boot it."
        found = f"'{image}' belongs to no package: {owner.why}"
        yield Defect("kernel package", found, expected, remedies.by_hand(summary), "kernel_package")
        return
    facts.append(Fact("package", owner.stdout.split(":", 1)[0], f"dpkg -S {image}"))
    asked = node.ask("boot_image", image)
    said = answers.of_program(asked, "release", "version", "signed")
    running = (node.read("/proc/sys/kernel/version") or "").strip()
    if said is None or not running:
        unseen.append(f"Whether '{image}' is what runs cannot be told: {answers.error_of(asked)}.")
        return
    facts.append(Fact("signed for secure boot", bool(said["signed"]), image))
    if (said["release"], said["version"]) != (release, running):
        found = f"'{image}' holds '{said['release']} {said['version']}', and '{release} {running}' runs"
        summary = "Reboot into the installed kernel."
        yield Defect("kernel package", found, "the image of the package runs", remedies.by_hand(summary))


def _default(node: Node, release: str, facts: list[Fact], unseen: list[str]) -> Iterator[Defect]:
    folder = node.distribution.called("paths", "grub")
    text = node.read(f"{folder}/grub.cfg")
    if text is None:
        unseen.append(f"'{folder}/grub.cfg' cannot be read; what boots next cannot be told (only GRUB is understood).")
        return
    entry = grub.default(text, node.read(f"{folder}/grubenv") or "")
    if entry is None:
        unseen.append(f"The default entry of '{folder}/grub.cfg' cannot be told.")
        return
    title = " > ".join(name for name, _ in entry.names)
    facts.append(Fact("default boot entry", title, f"{folder}/grub.cfg"))
    if not entry.kernel.endswith(f"/vmlinuz-{release}"):
        summary = "Make the wanted kernel the default: GRUB_DEFAULT, or grub-set-default, then update-grub."
        yield Defect(
            "default boot entry",
            f"'{title}' starts '{entry.kernel}'",
            f"an entry that starts vmlinuz-{release}",
            remedies.by_hand(summary),
            "boot_loader",
        )


CHECK = Check(
    name="kernel.level",
    use_case="hvqual.prep.kernel.level",
    why="A verdict is about one kernel; another one, a tainted one, or one that the next boot replaces is not what was tested.",
    look=look,
)
