# SPDX-License-Identifier: GPL-2.0-or-later
"""`node prepare` and `node restore` as commands, on this machine's kernel, in network and mount namespaces of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from avocado_hvqual.load import schema

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and kernel parameters need root"),
]
# Three parameters of a network namespace; the values differ from every kernel's own.
WANTED = {"net.ipv4.ip_default_ttl": 77, "net.ipv4.tcp_fin_timeout": 61, "net.ipv4.tcp_keepalive_time": 7201}
SCRIPT = """\
set -eu
cd {folder}
mount -t tmpfs none /etc/sysctl.d
mkdir bin
cat > bin/sysctl <<'END'
{hanging}
END
chmod +x bin/sysctl
export PATH={folder}/bin:$PATH
hvqual() {{ {python} -m avocado hvqual "$@"; }}
values() {{ sysctl -n {names} | tr '\\n' ' '; ls /etc/sysctl.d; }}
prepare() {{ hvqual node prepare --yes --only host.profile --expect {folder}/mine.yaml "$@"; }}
say() {{ echo "=== $1"; }}
say before; values
say prepare; prepare --json || true
say mended; values
say again; prepare --json || true
say restore; hvqual node restore --json || true
say after; values
touch hang
{python} -m avocado hvqual node prepare --yes --only host.profile --expect mine.yaml > killed.txt 2>&1 & killed=$!
for i in $(seq 1500); do [ -s hanging ] && break; sleep 0.02; done
kill -9 $killed $(cat hanging); wait $killed || true
rm hang
say half; values
say restore-half; hvqual node restore --json || true
say after-half; values
"""
# One command that does not end while a file says so: then the preparation is killed, in the middle of its second remedy.
HANGING = """\
#!/bin/sh
case "$*" in *tcp_fin_timeout=61) [ ! -e {folder}/hang ] || {{ echo $$ > {folder}/hanging; exec sleep 60; }} ;; esac
PATH=/usr/sbin:/sbin:/usr/bin:/bin
exec sysctl "$@"
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What each step wrote on its standard output."""
    folder = tmp_path_factory.mktemp("real")
    host = {"sysctl": WANTED, "may_be_vulnerable_to": [], "microcode_minimum": ""}
    (folder / "mine.yaml").write_text(json.dumps({"name": "mine", "not_required": ["mitigations"], "host": host}))
    script = SCRIPT.format(
        folder=folder, python=sys.executable, names=" ".join(WANTED), hanging=HANGING.format(folder=folder)
    )
    environment = {**os.environ, "AVOCADO_HVQUAL_HOME": str(folder / "home"), "HVQUAL_HOST_ID": ""}
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.returncode == 0, done.stderr
    parts = [part.partition("\n") for part in done.stdout.split("=== ")[1:]]
    return {name: text for name, _, text in parts}


def outcome(text):
    answer = json.loads(text)
    jsonschema.Draft7Validator(schema("node-prepare.schema")).validate(answer)
    return answer


def ours(back):
    """What differs of what was touched here; the rest of the machine goes on meanwhile, and may differ."""
    return [line for line in back["differs"] if line.startswith("sysctl")]


def test_mended_once_unchanged_twice_and_back(said):
    first = outcome(said["prepare"])
    assert [row["status"] for row in first["outcomes"]] == ["mended"] * 3
    assert first["status"] == 0
    assert said["mended"].split()[:3] == [str(value) for value in WANTED.values()]
    assert said["mended"].count("60-hvq-node-") == 3
    assert (outcome(said["again"])["outcomes"], outcome(said["again"])["steps"]) == ([], [])
    back = outcome(said["restore"])
    assert (len(back["did"]), back["left"], ours(back)) == (3, [], [])
    assert back["status"] == (72 if back["differs"] else 0)
    assert said["after"] == said["before"] != said["mended"]


def test_killed_in_its_middle_and_back(said):
    files = [f"60-hvq-node-net.ipv4.{name}.conf" for name in ("ip_default_ttl", "tcp_fin_timeout")]
    assert said["half"].split() == ["77", *said["before"].split()[1:3], *files]
    back = outcome(said["restore-half"])
    assert (back["left"], ours(back)) == ([], [])
    assert said["after-half"] == said["before"]
