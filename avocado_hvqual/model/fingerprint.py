# SPDX-License-Identifier: GPL-2.0-or-later
"""
What two sights of one fault have in common, and its short name: the fingerprint, ``hv1-`` and 12 hexadecimal digits.

The same fault over cases, runs and nodes has the same one; another kind of finding or another observation has another.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re

VERSION = "hv1"
"""Goes into every fingerprint; raised when `normalise` changes, so that an old name never stands for something new."""
DIGITS = 12
PATTERN = re.compile(rf"{VERSION}-[0-9a-f]{{{DIGITS}}}\Z")

_HEX, _PAIR = "[0-9a-fA-F]", "[0-9a-fA-F]{2}"
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"

# What is most particular goes first. No pattern may match what a later one leaves behind: each has a digit in it, of which none
# are left at the end, or needs nothing around it. Each is linear in the length of the text, which a guest may have written.
_NUMBERS = (
    (re.compile(rf"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}"), "<uuid>"),
    (re.compile(rf"(?:{_PAIR}[:-]){{5,19}}{_PAIR}"), "<mac>"),
    (re.compile(r"\bjob-\d{4}-\d\d-\d\dT\d\d\.\d\d-[0-9a-f]{7}\b"), "<job>"),
    (re.compile(r"\b\d{8}-\d{6}-[a-z]+-[0-9a-f]{4}\b"), "<campaign>"),
    (re.compile(r"hvq-[\w.-]+"), "<vm>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)?"), "<time>"),
    (
        re.compile(
            rf"\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?(?:{_MONTHS}) \d?\d \d\d:\d\d:\d\d(?:\.\d+)?(?: \d{{4}})?"
        ),
        "<time>",
    ),
    (re.compile(r"\[ ?\d+\.\d{6}\]"), "<time>"),
    (re.compile(r"\b\d?\d:\d\d:\d\d(?:[.,]\d+)?"), "<time>"),
    (re.compile(rf"\b(?:{_HEX}{{4}}:)?{_PAIR}:{_PAIR}\.[0-7]\b"), "<pci>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2}\b|:\d{1,5}\b)?"), "<address>"),
    (re.compile(r"\btmp(?=[a-z0-9_]*\d)[a-z0-9_]{8}\b"), "<tmp>"),
    # A number and a hexadecimal id are one thing: an id of 8 digits may happen to have no letter.
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<n>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,}\b", re.IGNORECASE), "<n>"),
    # With further parts it is a version: the same fault over builds is one, too.
    (re.compile(r"(?:(?<![^\s(=\[])[+-])?\d+(?:\.\d+)*(?:e[+-]?\d+)?"), "<n>"),
)
_IPV6 = re.compile(rf"(?<![\w:.])(?=[0-9a-fA-F:]*\d){_HEX}{{0,4}}(?::{_HEX}{{0,4}}){{2,7}}(?:%\w+)?(?![\w:])")
_PATH = re.compile(r"(?<![\w<>])(?:/[\w.+@%:*-]+)+")

# How many there were is no part of the fault: one guest of three that does not start, or two of them.
_NUMEROUS = (
    # The house's messages name a guest with its flavor: 'hvq-1-2' (small).
    (re.compile(r"(<vm>'?)(?: \([\w<>. -]{1,40}\))+"), r"\1"),
    (re.compile(r"('<vm>'|<vm>|<n>)(?:(?:, and |, | and |,|-)\1)+"), r"\1"),
    (re.compile(r"(<n> )(?!was\b|has\b|this\b|its\b)([A-Za-z]+[A-RT-Za-rt-z])s\b"), r"\1\2"),
    (re.compile(r"(<n> [A-Za-z]+ )are\b"), r"\1is"),
    (re.compile(r"(<n> [A-Za-z]+ )were\b"), r"\1was"),
)


def normalise(message: str) -> str:
    """
    Return *message* without what differs between two sights of one fault.

    That is: numbers, ids, addresses, times, names of VMs and how many they were, and where on this node our files lie.

    >>> normalise("vCPU 3 of 'hvq-1f-2' stuck for 22.5s at 0xffff8800")
    "vCPU <n> of '<vm>' stuck for <n>s at <n>"
    """
    message = _PATH.sub(_place, " ".join(message.split()))
    message = _IPV6.sub(_address, message)
    for pattern, placeholder in (*_NUMBERS, *_NUMEROUS):
        message = pattern.sub(placeholder, message)
    return _each_once(message)


def fingerprint(kind: str, observation: str, message: str) -> str:
    """Return the name of a fault; *kind* and *observation* are taken as they are, for their digits tell them apart."""
    what = json.dumps([kind, observation, normalise(message)])
    return f"{VERSION}-{hashlib.sha256(what.encode('ascii')).hexdigest()[:DIGITS]}"


def _place(found: re.Match[str]) -> str:
    """Return a path without the folders that are another's on another node; paths of the system stay as they are."""
    path = found.group()
    tail = path[len(path.rstrip(".:")) :]
    parts = path[: len(path) - len(tail)].split("/")[1:]
    temporary = parts[:1] == ["tmp"] or parts[:2] in (["var", "tmp"], ["run", "user"])
    ours = any("hvq" in part for part in parts) or "test-results" in parts
    if len(parts) == 1 or not (temporary or ours):
        return path
    return f"<path>{tail}" if "hvq-" in parts[-1] else f"<path>/{parts[-1]}{tail}"


def _address(found: re.Match[str]) -> str:
    try:
        ipaddress.IPv6Address(found.group().partition("%")[0])
    except ValueError:
        return found.group()
    return "<address>"


def _each_once(message: str) -> str:
    """Return *message* with what it lists behind semicolons once each: a leftover link, or two of them."""
    first, *others = message.split("; ")
    return "; ".join([first, *(one for one in dict.fromkeys(others) if not first.endswith(one))])
