"""Submitted files: what is read, what is refused with a reason, and what is never touched."""

import json
import os

import nbformat
import pytest

from autograder import submission
from autograder.batch import collect, has_submission
from autograder.course import Course
from autograder.labs import UsageError
from autograder.submission import SubmissionError, parse_submission, read_bytes, read_other_files
from autograder.task import digest

NO_PIPES = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")


def refusal(path) -> str:
    with pytest.raises(SubmissionError) as caught:
        read_bytes(path)
    return str(caught.value)


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "secret").write_text("x")
    (tmp_path / "a.ipynb").symlink_to(tmp_path / "secret")
    assert "regular file" in refusal(tmp_path / "a.ipynb")


@NO_PIPES
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.ipynb")
    assert "not a regular file" in refusal(tmp_path / "a.ipynb")


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    (tmp_path / "a.ipynb").mkdir()
    assert "regular file" in refusal(tmp_path / "a.ipynb")
    assert "There is no file b.ipynb" in refusal(tmp_path / "b.ipynb")


def test_a_file_that_is_too_large_is_refused_unread(tmp_path):
    with (tmp_path / "a.ipynb").open("wb") as file:
        file.truncate(submission.MAX_BYTES + 1)
    assert "clear its outputs" in refusal(tmp_path / "a.ipynb")


def test_other_files_are_read_up_to_a_depth_and_links_are_left_out(tmp_path):
    deep = tmp_path.joinpath(*"abcdefghijkl")
    deep.mkdir(parents=True)
    (deep / "too_deep").write_text("x")
    (tmp_path / "a" / "table.csv").write_text("1,2")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "lab.ipynb").write_text("{}")
    (tmp_path / "timestamp.txt").write_text("2026-11-22")
    assert read_other_files(tmp_path, "lab.ipynb") == {"a/table.csv": b"1,2"}


def test_other_files_have_a_number_and_a_size_together(tmp_path, monkeypatch):
    for number in range(9):
        (tmp_path / f"{number}").write_bytes(b"x" * 100)
    monkeypatch.setattr(submission, "MAX_OTHER_BYTES", 550)
    assert len(read_other_files(tmp_path, "")) == 5
    monkeypatch.setattr(submission, "MAX_OTHER_FILES", 3)
    assert len(read_other_files(tmp_path, "")) == 3


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a valid notebook: it has no nbformat"),
        (b'{"nbformat": 3, "cells": []}', "nbformat 4"),
        (b'{"nbformat": 4, "cells": 7}', "nbformat 4"),
        (b'{"nbformat": 4, "metadata": {}, "cells": [7]}', "not a valid notebook"),
        (json.dumps({"nbformat": 4, "metadata": {}, "cells": [{}] * 3000}).encode(), "3000 cells"),
        (json.dumps({"nbformat": 4, "metadata": {"pruning_course": {"lab": "lab99"}}, "cells": []}).encode(), "lab99"),
    ],
    ids=["empty", "bytes", "deep", "list", "old", "cells", "cell", "many", "other lab"],
)  # fmt: skip
def test_what_is_no_notebook_of_this_lab_is_refused_with_one_line(lab, data, reason):
    with pytest.raises(SubmissionError) as caught:
        parse_submission(data, lab)
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_outputs_are_left_out_and_a_byte_order_mark_does_no_harm(lab):
    notebook = nbformat.read(lab.notebook, as_version=4)
    code = next(cell for cell in notebook.cells if cell.cell_type == "code")
    code.outputs = [nbformat.v4.new_output("stream", text="100.0")]
    read = parse_submission(b"\xef\xbb\xbf" + nbformat.writes(notebook).encode(), lab)
    assert [cell.source for cell in read.cells] == [cell.source for cell in notebook.cells]
    assert not any(cell.get("outputs") for cell in read.cells)


def test_the_digest_tells_every_change_apart():
    cases = [
        (b"ab", {}), (b"a", {"b": b""}), (b"", {"ab": b""}), (b"", {"a": b"b"}), (b"", {"a": b"", "b": b""}),
        (b"", {"\udcff": b""}),
    ]  # fmt: skip
    assert len({digest(*case) for case in cases}) == len(cases)


def test_only_folders_of_students_are_collected_and_links_are_not(lab, tmp_path):
    inbox = tmp_path / "inbox"
    for student in ("ada", "[x] y", "-rf", ".hidden"):
        (inbox / student / lab.stem).mkdir(parents=True)
        (inbox / student / lab.stem / f"{lab.stem}.ipynb").write_text("{}")
    (inbox / "linked").symlink_to(inbox / "ada")
    (inbox / "inner").mkdir()
    (inbox / "inner" / lab.stem).symlink_to(inbox / "ada" / lab.stem)
    (inbox / "a file").touch()
    course = Course(tmp_path / "course")
    assert collect(course, lab, inbox) == ["-rf", "[x] y", "ada"]
    assert course.notebook("submitted", lab, "[x] y").read_text() == "{}"
    assert not has_submission(inbox / "linked", lab)


def test_a_new_submission_replaces_the_old_one_whole(lab, tmp_path):
    inbox, course = tmp_path / "inbox", Course(tmp_path / "course")
    folder = inbox / "ada" / lab.stem
    folder.mkdir(parents=True)
    (folder / f"{lab.stem}.ipynb").write_text("1")
    (folder / "old.csv").touch()
    collect(course, lab, inbox)
    (folder / "old.csv").unlink()
    (folder / f"{lab.stem}.ipynb").write_text("2")
    collect(course, lab, inbox)
    copied = course.folder("submitted", lab, "ada")
    assert [path.name for path in copied.iterdir()] == [f"{lab.stem}.ipynb"]
    assert course.notebook("submitted", lab, "ada").read_text() == "2"


def test_a_folder_without_submissions_says_what_is_expected(lab, tmp_path):
    with pytest.raises(UsageError, match="holds no submission"):
        collect(Course(tmp_path), lab, tmp_path)
    with pytest.raises(UsageError, match="There is no folder"):
        collect(Course(tmp_path), lab, tmp_path / "none")
