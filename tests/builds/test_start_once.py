# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel that is started once is not the one that the next power cycle starts. Scripts do to files what GRUB's programs do."""

import pytest

from avocado_hvqual.builds import install
from avocado_hvqual.errors import BuildError
from avocado_hvqual.images.golden.command import Programs

# As update-grub of Debian 12 writes it: the latest version first, and a choice for one boot in a branch of its own.
MENU = """\
if [ "${{next_entry}}" ] ; then
   set default="${{next_entry}}"
else
   set default="{default}"
fi
menuentry 'Debian' $menuentry_id_option 'gnulinux-simple-1' {{
	linux	/boot/vmlinuz-6.1.176-hvq root=/dev/vda1
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
    monkeypatch.setattr(install, "MENU", files["menu"])
    monkeypatch.setattr(install, "ENVIRONMENT", files["environment"])
    monkeypatch.setattr(install, "SAVED", tmp_path / "grub.d" / "hvq-saved.cfg")
    return tmp_path


def keep(boot, default, new=NEW):
    (boot / "menu").write_text(MENU.format(default=default))
    install.keep_default(new, OLD, Programs(boot / "log", BuildError))


@pytest.mark.parametrize(("default", "written"), [("0", True), ("${saved_entry}", False)])
def test_the_kernel_that_runs_stays_the_default(boot, default, written, capsys):
    keep(boot, default)
    assert (boot / "environment").read_text() == "saved_entry=gnulinux-advanced-1>gnulinux-6.1.0-56-advanced-1\n"
    assert install.SAVED.exists() is written
    assert not written or "\nGRUB_DEFAULT=saved\n" in install.SAVED.read_text()
    assert (str(install.SAVED) in capsys.readouterr().out) is written


def test_a_default_that_is_another_kernel_is_left_alone(boot):
    keep(boot, "1>1")
    assert not install.SAVED.exists()
    assert not (boot / "environment").exists()


def test_nothing_is_rebooted_into_where_the_default_cannot_be_kept(boot):
    (boot / "update-grub").write_text("#!/bin/sh\n")
    with pytest.raises(
        BuildError, match=r"would start vmlinuz-6.1.176-hvq at each power cycle, not /boot/vmlinuz-6.1.0-56"
    ):
        keep(boot, "0")
