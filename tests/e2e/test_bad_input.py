# SPDX-License-Identifier: GPL-2.0-or-later
"""What a user gives wrong to a real node: one sentence with its place and status 2, or a finding; nothing ran, nothing is left."""

import json
import os
import shutil

import pytest
from worlds import ID, campaign

USAGE = 2
RUN = ("avocado", "hvqual", "run", "--profile", "smoke", "--only", ID)


def refused(node, done, folder, *words):
    """Assert that a run was refused in one sentence that has these words, before it made anything."""
    assert done.returncode == USAGE, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr
    assert not folder.exists()


@pytest.mark.parametrize("lab", [True, False], ids=["into the lab", "inside"])
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--param", "hv_holdd=3"), ("'hv_holdd'", "hv_hold")),
        (("--param", "hv_hold"), ("NAME=VALUE", "'hv_hold'")),
        (("--only", "hvqual.lifecycle.destry"), ("hvqual.lifecycle.destry",)),
        (("--ledger", "{home}/ledger.yaml"), ("ledger.yaml:1", "'issue'")),
        (("--ledger", "{home}/nowhere.yaml"), ("nowhere.yaml",)),
        (("--accept", "PERFECT"), ("PERFECT",)),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else str(value),
)
def test_a_wrong_word_is_refused_before_anything_runs(node, given, words, lab):
    (node.home / "ledger.yaml").write_text("issue: []\n")
    folder = node.home / "lab/shared/hvq-refused"
    line = [*RUN, *(word.format(home=node.home) for word in given), "--output", str(folder)]
    refused(node, node.run(*line, "--lab") if lab else node.inside(*line), folder, *words)


def test_a_wrong_parameter_of_a_plain_run_is_named_by_its_case(node):
    results = node.results()
    before = node.digest()
    wrong = ["--vt-extra-params", "hv_holdd=3", "--vt-extra-params", "hv_hold=soon"]
    select = ["--vt-type", "libvirt", "--vt-only-filter", "lifecycle.destroy single_big", *wrong, "hvqual"]
    done = node.inside("avocado", "run", "--job-results-dir", str(results), *select)
    assert done.returncode == 1, done.stdout + done.stderr
    (file,) = results.glob("job-*/verdict.json")
    (finding,) = [one for one in json.loads(file.read_text())["findings"] if one["kind"] == "error"]
    assert finding["severity"] == "major"
    assert "'hv_holdd' is not a parameter of this case" in finding["message"]
    assert "'hv_hold' is 'soon', which is not a number" in finding["message"]
    assert node.digest() == before


def test_without_virsh_the_run_says_what_is_not_installed(node):
    folder = node.home / "lab/shared/hvq-refused"
    tools = node.results()
    for place in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for tool in os.scandir(place):
            if tool.name != "virsh" and not (tools / tool.name).is_symlink():
                (tools / tool.name).symlink_to(tool.path)
    path = f"{shutil.which('avocado', path=node.environment['PATH'])}".rpartition("/")[0]
    done = node.inside("env", f"PATH={path}:{tools}", *RUN, "--output", str(folder))
    refused(node, done, folder, "'virsh' is not installed, so no case can run. Install it with:  apt-get")


def test_without_root_the_run_says_so(node):
    folder = node.home / "lab/shared/hvq-refused"
    nobody = ("unshare", "--user")  # whose files are still readable: an environment below /root is closed to others
    refused(node, node.inside(*nobody, *RUN, "--output", str(folder)), folder, "root")
    refused(node, node.run(*nobody, *RUN, "--output", str(folder), "--lab"), folder, "root")


def torn(lines):
    """Cut the last line in its middle, as a crash does."""
    return [*lines[:-1], lines[-1][: len(lines[-1]) // 2]]


def flipped(lines):
    """Turn the result of the case."""
    return [line.replace('"status":"PASS"', '"status":"FAIL"') for line in lines]


def doubled(lines):
    """Write one line twice."""
    return [*lines[:4], lines[3], *lines[4:]]


def removed(lines):
    """Take one line out."""
    return [*lines[:3], *lines[4:]]


def test_the_journal_of_a_real_campaign_shows_every_change_of_it(node):
    with campaign(node, hold=1) as run:
        assert run.end() == 0, run.told
    path = run.folder / "journal.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    assert run.findings() == {}
    try:
        for change in (flipped, doubled, removed):
            path.write_text("".join(change(lines)))
            judged = run.verdict()
            assert judged["basis"] == "INCOMPLETE", change
            assert ("tampered-journal", "critical") in {(one["kind"], one["severity"]) for one in judged["findings"]}
            assert any("journal.jsonl:" in one["message"] for one in judged["findings"])
            assert judged["status"] not in {0, 1, USAGE}
        path.write_text("".join(torn(lines)))
        assert {key[0] for key in run.findings()} == {"interrupted"}
        assert run.verdict()["status"] == 47
    finally:
        path.write_text("".join(lines))
    bad = run.folder / "policy.yaml"
    bad.write_text("name: mine\nseverities: []\ncomponets: [kvm]\n")
    done = node.inside("avocado", "hvqual", "verdict", str(run.folder), "--policy", str(bad))
    assert done.returncode == USAGE
    assert "policy.yaml:" in done.stderr
    assert "componets" in done.stderr
