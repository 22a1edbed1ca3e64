# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel that is started once is not the one that the next power cycle starts. Scripts do to files what GRUB's programs do."""

import pytest

from avocado_hvqual.builds import install
from avocado_hvqual.builds.record import Record
from avocado_hvqual.errors import BuildError
from avocado_hvqual.preparation import grub

# As update-grub of Debian 12 writes it: the latest version first, and a choice for one boot in a branch of its own.
MENU = """\
if [ "${{next_entry}}" ] ; then
   set default="${{next_entry}}"
else
   set default="{default}"
fi
menuentry 'Debian' $menuentry_id_option 'gnulinux-simple-1' {{
	linux	{first} root=/dev/vda1
}}
submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced-1' {{
	menuentry 'Debian, with Linux 6.1.176-hvq' $menuentry_id_option 'gnulinux-6.1.176-hvq-advanced-1' {{
		linux	/boot/vmlinuz-6.1.176-hvq root=/dev/vda1
	}}
	menuentry 'Debian, with Linux 6.1.0-56' $menuentry_id_option 'gnulinux-6.1.0-56-advanced-1' {{
		linux	/boot/vmlinuz-6.1.0-56 root=/dev/vda1
	}}
}}
"""
NEW, OLD = "/boot/vmlinuz-6.1.176-hvq", "/boot/vmlinuz-6.1.0-56"
PROGRAMS = {
    "update-grub": "sed -i '/next/! s/set default=.*/set default=\"${{saved_entry}}\"/' {menu}",
    "grub-set-default": 'echo "saved_entry=$1" > {environment}',
}


@pytest.fixture
def boot(tmp_path, monkeypatch):
    """A folder with GRUB's files, and its programs on the PATH."""
    files = {name: tmp_path / name for name in ("menu", "environment")}
    for name, line in PROGRAMS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line.format(**files)}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for name, path in {"MENU": "menu", "ENVIRONMENT": "environment", "SAVED": "grub.d/saved.cfg", "LOG": "log"}.items():
        monkeypatch.setattr(install, name, tmp_path / path)
    return tmp_path


def menu(boot, default="0", first=OLD):
    (boot / "menu").write_text(MENU.format(default=default, first=first))


@pytest.mark.parametrize(("default", "written"), [("0", True), ("${saved_entry}", False)])
def test_the_default_is_kept_by_name_before_a_later_version_is_first(boot, default, written, capsys):
    menu(boot, default)
    install.keep_default(NEW)
    assert (boot / "environment").read_text() == "saved_entry=gnulinux-advanced-1>gnulinux-6.1.0-56-advanced-1\n"
    assert install.SAVED.exists() is written
    assert not written or "\nGRUB_DEFAULT=saved\n" in install.SAVED.read_text()
    assert (str(install.SAVED) in capsys.readouterr().out) is written
    (boot / "menu").write_text((boot / "menu").read_text().replace(OLD, NEW, 1))  # as after the installation
    found = grub.default(install.MENU.read_text(), install.ENVIRONMENT.read_text())
    assert found.kernel == OLD


def test_a_default_that_cannot_be_kept_or_is_the_new_one_is_refused(boot):
    menu(boot, first=NEW)
    with pytest.raises(BuildError, match=r"GRUB starts vmlinuz-6.1.176-hvq by default; make one"):
        install.keep_default(NEW)
    assert not install.SAVED.exists()
    menu(boot)
    (boot / "grub-set-default").write_text("#!/bin/sh\necho saved_entry=0 > $(dirname $0)/environment\n")
    (boot / "update-grub").write_text(f"#!/bin/sh\nsed -i '0,/6.1.0-56/ s/6.1.0-56/6.1.176-hvq/' {boot}/menu\n")
    with pytest.raises(BuildError, match=r"would start vmlinuz-6.1.176-hvq by default, not vmlinuz-6.1.0-56; see"):
        install.keep_default(NEW)


def test_nothing_is_rebooted_into_that_would_be_started_again(boot, record):
    menu(boot, first=NEW)
    with pytest.raises(BuildError, match=r"would start vmlinuz-6.1.176-hvq at each power cycle"):
        install.start_once(record)


@pytest.fixture
def record():
    return Record("kernel", "6.1.176-hvq", {}, (), "", "", NEW, {})
