# SPDX-License-Identifier: GPL-2.0-or-later
"""Make avocado-vt know our tests as soon as the package is installed: no file to copy, no `vt-bootstrap` to remember."""

from __future__ import annotations

import sys
from pathlib import Path

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.registration import generated, providers
from avocado_hvqual.registration.stamp import fingerprint, locked
from avocado_hvqual.trees import provider_root

STAMP = "avocado-hvqual.stamp"
OFF = "avocado-hvqual.unregistered"
LOCK = "avocado-hvqual.lock"


def register() -> list[str]:
    """
    Register the provider with avocado-vt for the current user, unless that is done already.

    Returns one sentence for each list of tests that avocado-vt could not generate.
    Raises RegistrationError and OSError; the user switched off by `unregister` stays unregistered.
    """
    folder, data, library = _avocado_vt()
    root = provider_root()
    home = folder.parent
    if _switched_off(home / OFF):
        return []
    if _read(home / STAMP) == fingerprint(folder, data, root, library):
        return []
    with locked(home / LOCK):
        if _read(home / STAMP) == fingerprint(folder, data, root, library):
            return []
        providers.write_providers(folder, root)
        problems = generated.generate(data, ours=True)
        # Stamped also after a problem: it is told once, not at each command; a changed provider file is a new try.
        providers.write_atomically(home / STAMP, fingerprint(folder, data, root, library))
    return problems


def register_at_start() -> None:
    """
    Register without ever standing in the way of the avocado command that has just begun: one line on stderr at most.

    A test runner process is left alone: the command that started it has registered already.
    """
    if Path(sys.argv[0]).name.startswith("avocado-runner"):
        return
    try:
        problems = register()
    except HvqualError as failure:
        problems = [str(failure)]
    except OSError as failure:
        what = f"'{failure.filename}': {failure.strerror}" if failure.filename else str(failure)
        problems = [
            f"The tests could not be registered with avocado-vt, because of {what}. Other tests are not affected."
        ]
    # avocado stops as a whole when a plugin raises here, also for jobs that have nothing to do with us.
    except Exception as failure:  # noqa: BLE001
        problems = [f"The tests could not be registered with avocado-vt ({type(failure).__name__}: {failure})."]
    if problems:
        sys.stderr.write(f"avocado-hvqual: {' '.join(problems)}\n")


def switch_on() -> list[str]:
    """Undo `unregister` and register now; what is returned and raised is that of `register`."""
    folder, _, _ = _avocado_vt()
    (folder.parent / OFF).unlink(missing_ok=True)
    (folder.parent / STAMP).unlink(missing_ok=True)
    return register()


def unregister() -> list[str]:
    """
    Remove our provider files and our tests from avocado-vt's lists, and stay away until `switch_on` or a new installation.

    Returns and raises as `register` does.
    """
    folder, data, _ = _avocado_vt()
    home = folder.parent
    with locked(home / LOCK):
        providers.write_atomically(home / OFF, providers.installation())
        providers.remove_providers(folder)
        problems = generated.generate(data, ours=False)
        (home / STAMP).unlink(missing_ok=True)
    return problems


def _switched_off(path: Path) -> bool:
    """Say whether this very installation was unregistered: what `unregister` wrote does not hold for a later one."""
    text = _read(path)
    return text is not None and text == providers.installation()


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _avocado_vt() -> tuple[Path, Path, Path]:
    """Return avocado-vt's folder of provider files, its data folder, and the file that changes with its version."""
    from virttest import data_dir

    # Asked at each call and from avocado's settings: HOME and the data folder differ between users and inside the lab's hosts.
    return Path(data_dir.get_test_providers_dir()), Path(data_dir.get_data_dir()), Path(data_dir.__file__)
