# SPDX-License-Identifier: GPL-2.0-or-later
"""A build goes on where it was, and does again what did not end."""

import pytest

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden.stages import FILE, Stage, ended, run_stages


@pytest.fixture
def work(tmp_path):
    """Three stages that note that they ran; the second one fails as often as `fails` says."""

    class Work:
        folder = tmp_path
        ran, told = [], []
        fails = 0

        def second(self):
            self.ran.append("second")
            if self.fails:
                self.fails -= 1
                msg = "no room"
                raise ImageError(msg)

        def run(self, until=""):
            stages = [
                Stage("first", "1", lambda: self.ran.append("first")),
                Stage("second", "2", self.second),
                Stage("third", "3", lambda: self.ran.append("third")),
            ]
            return run_stages(self.folder, stages, self.told.append, until)

    return Work()


def test_each_runs_once_in_order_and_is_told(work):
    assert list(work.run()) == work.ran == ["first", "second", "third"]
    assert [line.partition(":")[0] for line in work.told] == work.ran
    work.run()
    assert work.ran == ["first", "second", "third"]
    assert all("done before" in line for line in work.told[3:])


def test_what_failed_is_run_again_and_what_ended_is_not(work):
    work.fails = 1
    with pytest.raises(ImageError, match="no room"):
        work.run()
    assert set(ended(work.folder)) == {"first"}
    work.run()
    assert work.ran == ["first", "second", "second", "third"]


def test_until_ends_there_and_the_next_build_goes_on(work):
    work.run("second")
    assert work.ran == ["first", "second"]
    work.run()
    assert work.ran[2:] == ["third"]


def test_an_unknown_stage_is_refused_before_anything_runs(work):
    with pytest.raises(ImageError, match="no stage 'fourth'; its stages are first, second, third"):
        work.run("fourth")
    assert work.ran == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"first": "soon"}', '{"first": null}'])
def test_a_torn_record_means_that_nothing_ended(work, text):
    (work.folder / FILE).write_text(text)
    assert ended(work.folder) == {}
    work.run()
    assert work.ran == ["first", "second", "third"]
