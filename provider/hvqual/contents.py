# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a guest holds at one moment, so that it can be asked later whether it is at that moment again.

A mark in memory (a file on tmpfs), one on each disk, and a process that lives. Each is renewed as a whole: nothing of an earlier
content is in a later one, and a process of an earlier one has ended.
"""

from __future__ import annotations

import base64
import re

from avocado.core.exceptions import TestError

from provider.hvqual.asked import Asked

MEMORY, PROCESS = "memory", "process"
# Beside the witness's own canary, which lies from 1 MiB on: 64 KiB from 4 MiB on.
_BLOCK, _START, _COUNT = 65536, 64, 1
OFFSET, LENGTH = _BLOCK * _START, _BLOCK * _COUNT
_LIFE = 99999
LINE = re.compile(r"(memory|process|vd[a-z])=([0-9a-z/]+)")
_RENEW = f"""mkdir -p /run/hvq && cd /run/hvq || exit 1
[ ! -s pid ] || kill $(cat pid) 2>/dev/null
dd if=/dev/urandom of=memory bs={_BLOCK} count={_COUNT} 2>/dev/null || exit 1
for disk in /dev/vd?; do
  dd if=/dev/urandom of=$disk bs={_BLOCK} seek={_START} count={_COUNT} conv=notrunc,fsync 2>/dev/null || exit 1
done
setsid sh -c 'echo $$ >/run/hvq/pid; exec sleep {_LIFE}' </dev/null >/dev/null 2>&1 &
until [ "$(cat pid 2>/dev/null)" ] && grep -q sleep /proc/$(cat pid)/cmdline 2>/dev/null; do sleep 0.02; done
"""
_READ = f"""sum() {{ set -- $(sha256sum); echo $1; }}
cd /run/hvq 2>/dev/null
if [ -s memory ]; then echo memory=$(sum <memory); else echo memory=missing; fi
for disk in /dev/vd?; do
  dd if=$disk bs={_BLOCK} skip={_START} count={_COUNT} iflag=direct of=/run/hvq.read 2>/dev/null \
    && echo ${{disk#/dev/}}=$(sum </run/hvq.read) || echo ${{disk#/dev/}}=unreadable
done
rm -f /run/hvq.read
pid=$(cat pid 2>/dev/null)
if grep -q {_LIFE} /proc/${{pid:-none}}/cmdline 2>/dev/null; then
  set -- $(cat /proc/$pid/stat)
  echo process=$pid/${{22}}
else
  echo process=gone
fi
"""

Contents = dict[str, str]


def renew(guest: Asked) -> Contents:
    """Give the guest new content, synced to its disks, and return it; the process of before has ended."""
    held = parse(guest.ask(_command(_RENEW + _READ)), guest.name)
    missing = [name for name, value in held.items() if value in {"missing", "gone", "unreadable"}]
    if missing:
        message = f"The guest '{guest.name}' has no {', '.join(missing)} after it was given new content."
        raise TestError(message)
    return held


def read(guest: Asked) -> Contents:
    """Return what the guest holds now, its disks read past the page cache; TestError when it tells too little."""
    return parse(guest.ask(_command(_READ)), guest.name)


def parse(text: str, name: str) -> Contents:
    """Return the key=value lines of *text*; TestError when memory, process or every disk is left out."""
    held = {it[1]: it[2] for line in text.splitlines() if (it := LINE.fullmatch(line.strip()))}
    if MEMORY not in held or PROCESS not in held or len(held) == len((MEMORY, PROCESS)):
        message = f"The guest '{name}' did not tell what it holds; it said: {text[-400:]!r}"
        raise TestError(message)
    return held


def differences(wanted: Contents, found: Contents) -> list[str]:
    """Return the names of what is not as it was: memory, process, and each disk."""
    return sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))


def _command(script: str) -> str:
    """Return one line that runs *script*: a session is asked line by line, and what it echoes must not look like an answer."""
    return f"echo {base64.b64encode(script.encode()).decode()} | base64 -d | sh"
