# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernel GRUB starts by default, from a grub.cfg as Debian's update-grub writes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avocado_hvqual.preparation import grub
from tests.preparation.captured import load

TEXT = load().files["/boot/grub/grub.cfg"]
OLD = "gnulinux-6.1.0-18-amd64-advanced-5b2d0d36"
NEW = "gnulinux-6.1.0-25-amd64-advanced-5b2d0d36"
MENU = "gnulinux-advanced-5b2d0d36"


def kernel(choice, environment=""):
    entry = grub.default(TEXT.replace('set default="0"', f'set default="{choice}"'), environment)
    return entry and entry.kernel.rpartition("vmlinuz-")[2]


def test_entries():
    assert [(entry.place, bool(entry.kernel)) for entry in grub.entries(TEXT)] == [
        ((0,), True),
        ((1,), False),
        ((1, 0), True),
        ((1, 1), True),
        ((2,), False),
    ]


@pytest.mark.parametrize(
    ("choice", "release"),
    [
        ("0", "6.1.0-25-amd64"),
        ("1>1", "6.1.0-18-amd64"),
        ("1", "6.1.0-25-amd64"),
        (OLD, "6.1.0-18-amd64"),
        (f"{MENU}>{OLD}", "6.1.0-18-amd64"),
        (f"{MENU}>{NEW}", "6.1.0-25-amd64"),
        ("Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.1.0-18-amd64", "6.1.0-18-amd64"),
        ("7", None),
        ("no such entry", None),
        ("2", None),
    ],
)
def test_default(choice, release):
    assert kernel(choice) == release


def test_saved():
    assert kernel("${saved_entry}", f"saved_entry={MENU}>{OLD}\n") == "6.1.0-18-amd64"
    assert kernel("${saved_entry}", "") == "6.1.0-25-amd64"
    assert kernel("0", f"next_entry={OLD}\n") == "6.1.0-25-amd64"


@pytest.mark.parametrize("text", ["", "}\n}\n", "menuentry 'x' {\n", "menuentry 'x' {\n}\n", "linux /boot/vmlinuz-1\n"])
def test_no_menu_has_no_default(text):
    entry = grub.default(text, "")
    assert entry is None or entry.kernel == ""


PIECES = st.sampled_from(
    [
        "menuentry 'a' $menuentry_id_option 'i' {",
        "submenu 'b' {",
        "}",
        "if [ x ]; then",
        "function f {",
        'set default="1>0"',
        " linux /boot/vmlinuz-7 ro",
    ]
)


@given(st.lists(PIECES, max_size=25))
def test_whatever_a_menu_holds_the_default_is_an_entry_of_it_or_none(pieces):
    text = "\n".join(pieces)
    entry = grub.default(text, "saved_entry=i\n")
    assert entry is None or entry in grub.entries(text)
    assert entry is None or entry.kernel in {"", "/boot/vmlinuz-7"}
