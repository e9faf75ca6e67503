"""The data folder is found in each layout, and no damaged file gets through."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import labkit
from labkit import data_folder

PACKAGE = Path(labkit.__file__).parent


@pytest.fixture
def small_folder(tmp_path, monkeypatch):
    """Return a data folder of one file, named by LABKIT_DATA."""
    (tmp_path / "numbers.bin").write_bytes(b"one two three")
    data_folder.record_checksums(tmp_path, ["numbers.bin"])
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    return tmp_path


def test_checksums_have_the_format_of_sha256sum(small_folder):
    expected = hashlib.sha256(b"one two three").hexdigest() + "  numbers.bin\n"
    assert (small_folder / "SHA256SUMS").read_text() == expected


def test_recording_one_file_keeps_the_lines_of_the_others(small_folder):
    (small_folder / "letters.bin").write_bytes(b"abc")
    data_folder.record_checksums(small_folder, ["letters.bin"])
    assert data_folder.verified("letters.bin").read_bytes() == b"abc"
    assert data_folder.verified("numbers.bin").read_bytes() == b"one two three"


def test_a_file_damaged_after_it_was_verified_is_refused(small_folder):
    path = data_folder.verified("numbers.bin")
    path.write_bytes(b"one two four")
    with pytest.raises(RuntimeError, match=r"damaged.*git restore data"):
        data_folder.verified("numbers.bin")


def test_a_file_is_read_once_while_it_does_not_change(small_folder, monkeypatch):
    reads = []
    real = data_folder.sha256
    monkeypatch.setattr(data_folder, "sha256", lambda path: reads.append(path) or real(path))
    first, second = data_folder.verified("numbers.bin"), data_folder.verified("numbers.bin")
    assert first == second == small_folder / "numbers.bin"
    assert len(reads) == 1


def test_a_missing_file_says_how_to_restore_it(small_folder):
    (small_folder / "numbers.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"missing.*git restore data"):
        data_folder.verified("numbers.bin")


def test_an_unlisted_file_names_those_that_are_listed(small_folder):
    with pytest.raises(ValueError, match=r"numbers\.bin"):
        data_folder.verified("other.bin")


def test_a_wrong_environment_variable_is_an_error_and_not_skipped(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="LABKIT_DATA names"):
        data_folder.data_folder()


LAYOUTS = {
    "clone": ("labs/labkit", "data"),
    "student bundle": ("labkit", "data"),
    "installed package": ("site/labkit", "site/labkit_data"),
}


def found_in(root: Path, package: str) -> subprocess.CompletedProcess:
    """Ask a copy of labkit at root/package where the data are, in a fresh Python."""
    shutil.copytree(PACKAGE, root / package, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    environment = {name: value for name, value in os.environ.items() if name != "LABKIT_DATA"}
    environment["PYTHONPATH"] = str((root / package).parent)
    script = "import labkit.data_folder as d; print(d.data_folder())"
    # -S: without the site-packages, where an editable install of the course would offer its own labkit_data
    command = [sys.executable, "-S", "-c", script]
    return subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_folder_is_found_in_each_layout(tmp_path, layout):
    package, data = LAYOUTS[layout]
    (tmp_path / data).mkdir(parents=True)
    (tmp_path / data / "SHA256SUMS").touch()
    answer = found_in(tmp_path, package)
    assert answer.stdout.strip() == str((tmp_path / data).resolve()), answer.stderr


def test_without_any_folder_the_error_is_one_sentence_that_says_what_to_do(tmp_path):
    (tmp_path / "data").mkdir()  # a folder of that name, but not the course's
    answer = found_in(tmp_path, "labkit")
    message = answer.stderr.strip().splitlines()[-1]
    assert answer.returncode != 0
    assert message.startswith("FileNotFoundError: The course's data folder was not found: ")
    assert "LABKIT_DATA" in message
