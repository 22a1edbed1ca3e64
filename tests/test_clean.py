# SPDX-License-Identifier: GPL-2.0-or-later
"""`clean` says what it did and what is left, and is only content when nothing is; the node's programs are asked, not imported."""

from __future__ import annotations

import json

import pytest

from avocado_hvqual import clean, node

NO_LIBVIRT = "qemu+unix:///system?socket=/nonexistent"


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Put a program of one's own in the place of the provider's; it tells how it was called."""

    def install(text, name="sweep"):
        folder = tmp_path / "root" / "provider" / "hvqual"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text(f"import sys, json\n{text}\n")
        monkeypatch.setattr(node, "provider_root", lambda: tmp_path / "root")

    return install


def answer(did=(), left=(), tainted=(), status=0):
    data = json.dumps({"did": list(did), "left": list(left), "tainted": list(tainted)})
    return f"print({data!r}); sys.exit({status})"


class TestClean:
    def test_a_clean_node_is_0(self, program, tmp_path):
        program(answer(did=["x removed"]))
        told = []
        report = clean.clean(tmp_path, "local", write=told.append)
        assert (report.exit_status, report.did) == (0, ("x removed",))
        assert told == ["done: x removed", "Nothing of ours is left on this node."]

    @pytest.mark.parametrize("what", [{"left": ["a domain"]}, {"tainted": ["a setting"]}])
    @pytest.mark.parametrize("status", [0, 1])
    def test_anything_left_or_a_taint_is_not_0_whatever_the_program_says(self, program, tmp_path, what, status):
        program(answer(**what, status=status))
        report = clean.clean(tmp_path, "local")
        assert report.exit_status == 1
        assert "run again: avocado hvqual clean" in report.lines()[-1]

    def test_hands_over_home_host_uri_and_force(self, program, tmp_path):
        program("print(json.dumps({'did': sys.argv[1:], 'left': [], 'tainted': []}))")
        report = clean.clean(tmp_path, "hv-a", libvirt_uri="x:///", force=True)
        assert report.did == ("--home", str(tmp_path), "--host", "hv-a", "--uri", "x:///", "--force")
        assert "--force" not in clean.clean(tmp_path, "hv-a").did

    @pytest.mark.parametrize(
        "text",
        ["sys.exit(3)", "print('no JSON')", "raise SystemExit('it broke')", "import os; os.kill(os.getpid(), 9)"],
    )
    def test_a_program_that_breaks_is_an_error_never_a_clean_node(self, program, tmp_path, text):
        program(text)
        with pytest.raises(node.NodeError, match="ended with status"):
            clean.clean(tmp_path, "local")

    def test_a_program_that_hangs_is_an_error(self, program, tmp_path, monkeypatch):
        monkeypatch.setattr(node, "TIMEOUT_S", 0.3)
        program("import signal; signal.pause()")
        with pytest.raises(node.NodeError, match="could not be run"):
            clean.clean(tmp_path, "local")

    def test_without_libvirt_it_says_so_and_is_not_clean(self, tmp_path):
        """With the provider's real program: a libvirtd that does not answer is not a node without domains."""
        report = clean.clean(tmp_path / "home", "local", libvirt_uri=NO_LIBVIRT)
        assert report.exit_status == 1
        assert "libvirtd does not answer" in report.left[0]
        assert not (tmp_path / "home").exists(), "looking must not make anything"


class TestNode:
    def test_state_and_differences(self):
        before = node.capture(NO_LIBVIRT)
        assert before.digest == before.whole["digest"]
        assert before.unreachable[0].startswith("domains: unreachable")
        other = node.State("x", {**before.whole, "digest": "wrong"})
        assert node.diff(before, before) == []
        with pytest.raises(node.NodeError, match="it was changed"):
            node.diff(before, other)

    def test_replay_and_status_of_an_empty_log(self, tmp_path):
        nothing = {"outcomes": [], "left": [], "broken": {}, "tainted": []}
        assert node.replay(tmp_path, "local") == nothing
        assert node.undo_status(tmp_path, "local") == nothing
        assert node.tainted(tmp_path, "local") is None

    def test_a_taint_is_told(self, tmp_path):
        (tmp_path / "undo" / "local").mkdir(parents=True)
        (tmp_path / "undo" / "local" / "TAINTED").write_text("one\ntwo\n")
        assert node.tainted(tmp_path, "local") == "one; two"
