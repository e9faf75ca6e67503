"""What the long run of a lab recorded is read; before it there is nothing."""

import json

import pytest

from labkit.recorded import recorded_results


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "SHA256SUMS").write_text("")
    (tmp_path / "results").mkdir()
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    return tmp_path


def test_what_was_written_is_read(folder):
    (folder / "results" / "lab99_nothing.json").write_text(json.dumps({"dense": {"mean": 0.5}}))
    assert recorded_results("lab99_nothing") == {"dense": {"mean": 0.5}}


def test_before_the_long_run_there_is_nothing(folder):
    assert recorded_results("lab99_nothing") == {}


def test_a_file_that_is_no_json_is_refused(folder):
    (folder / "results" / "lab99_nothing.json").write_text("{")
    with pytest.raises(ValueError):
        recorded_results("lab99_nothing")
