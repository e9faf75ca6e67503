"""The command line as a person meets it: what it prints, what it returns, what it leaves alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from autograder import cli
from autograder.labs import ROOT, UsageError, find_lab
from autograder.submission import answer_text, fill, solve

QUESTIONS = ["threshold_mask", "magnitude_mask", "row_scores", "uniform_masks", "global_masks", "sensitivity_scan",
             "choose_sparsities"]  # fmt: skip


def run(*arguments, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "autograder", *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "120", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def tree(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def wrong_input(folder: Path) -> dict[str, tuple]:
    """Arguments that a person may well give by mistake, by the word that the message must hold."""
    (folder / "empty").mkdir()
    (folder / "broken.ipynb").write_text("{", encoding="utf-8")
    alien = nbformat.v4.new_notebook(metadata={"pruning_course": {"lab": "lab99_alien"}})
    nbformat.write(alien, folder / "alien.ipynb")
    nbformat.write(nbformat.v4.new_notebook(), folder / "notes.ipynb")
    course = ("--course", folder / "course")
    return {
        "“lab77” is not a lab": ("grade", "lab77", *course),
        "“lab78” is not a lab": ("verify", "lab78"),
        "“lab79” is not a lab": ("weave", "lab79"),
        "There is no folder": ("grade", "lab03", "--submitted", folder / "nowhere", *course),
        "holds no submission": ("grade", "lab03", "--submitted", folder / "empty", *course),
        "There is no file": ("check", folder / "nowhere.ipynb"),
        "“broken” is not a lab": ("check", folder / "broken.ipynb"),
        "“lab99_alien” is not a lab": ("check", folder / "alien.ipynb"),
        "“notes” is not a lab": ("check", folder / "notes.ipynb"),
        "Nothing of lab03_magnitude is graded yet": ("report", "lab03", *course),
        "is not an empty folder": ("release", "--out", folder),
    }


def test_wrong_input_ends_with_one_sentence_and_status_2_and_writes_nothing(tmp_path, monkeypatch, capsys):
    cases = wrong_input(tmp_path)
    before = tree(tmp_path)
    for words, arguments in cases.items():
        monkeypatch.setattr(sys, "argv", ["autograder", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        assert ended.value.code == 2, arguments
        assert words in printed.err
        assert len(printed.err.strip().splitlines()) == 1, printed.err
        assert printed.out == ""
    assert tree(tmp_path) == before


@pytest.mark.slow
def test_status_2_reaches_the_shell():
    done = run("grade", "lab77")
    assert done.returncode == 2
    assert "“lab77” is not a lab" in done.stderr


def test_a_lab_is_found_by_the_beginning_of_its_name():
    assert find_lab("lab03").stem == find_lab("lab03_magnitude.ipynb").stem == "lab03_magnitude"
    with pytest.raises(UsageError, match="is not a lab"):
        find_lab("")


@pytest.mark.slow
def test_check_names_the_mistake_and_says_what_was_returned_and_expected(lab, tmp_path):
    released = nbformat.read(lab.notebook, as_version=4)
    wrong = {"magnitude_mask": answer_text(lab, "magnitude_mask", "keeps_the_smallest")}
    nbformat.write(fill(solve(released, lab, QUESTIONS), wrong), tmp_path / "my_lab.ipynb")
    done = run("check", tmp_path / "my_lab.ipynb", "--seed", 5)
    assert done.returncode == 1
    assert "Likely mistake: You removed the largest weights and kept the smallest." in done.stdout
    assert "returned  bool[8, 9]" in done.stdout
    assert "expected  bool[8, 9]" in done.stdout
    assert "✓ row_scores: 3 of 3 points" in done.stdout
    assert "seed 5" in done.stdout
    assert run("check", tmp_path / "my_lab.ipynb", "--seed", 5).stdout == done.stdout


@pytest.mark.slow
def test_check_ends_with_0_only_at_full_marks_even_where_a_test_cell_was_deleted(lab, tmp_path):
    solved = solve(nbformat.read(lab.notebook, as_version=4), lab, QUESTIONS)
    nbformat.write(solved, tmp_path / "lab03_solved.ipynb")
    assert run("check", tmp_path / "lab03_solved.ipynb").returncode == 0
    blank = nbformat.read(lab.notebook, as_version=4)
    blank.cells = [cell for cell in blank.cells if not cell.metadata.get("nbgrader", {}).get("points")]
    nbformat.write(blank, tmp_path / "lab03_emptied.ipynb")
    done = run("check", tmp_path / "lab03_emptied.ipynb")
    assert done.returncode == 1
    assert "0 of 22 points" in done.stdout


@pytest.mark.slow
def test_verify_prints_json_and_nothing_else(lab):
    done = run("verify", "lab03", "--json", "--seeds", 2)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["labs"]["lab03_magnitude"]
    assert found.keys() == {
        "functions", "checks", "wrong_answers", "caught", "named", "alternatives", "accepted", "blank_score",
        "reference_score", "max_score", "seconds_whole", "seconds_graded",
    }  # fmt: skip
    assert found["caught"] == found["named"] == found["wrong_answers"] > 20
    assert found["accepted"] == found["alternatives"] > 13
    assert (found["blank_score"], found["reference_score"], found["max_score"]) == (0, 22, 22)


@pytest.mark.slow
def test_grade_then_report_from_a_folder_of_submissions(graded, lab, tmp_path):
    theirs, results = graded
    course = tmp_path / "course"
    folder = tmp_path / "downloads"
    for student in ("hana", "omar"):
        target = folder / student / lab.stem
        target.mkdir(parents=True)
        text = theirs.notebook("submitted", lab, student).read_text(encoding="utf-8")
        (target / f"{lab.stem}.ipynb").write_text(text, encoding="utf-8")
    done = run("grade", "lab03", "--submitted", folder, "--course", course)
    assert done.returncode == 0, done.stderr
    assert f"{results['hana'].score:g}" in done.stdout
    assert "is not JSON" in done.stdout.replace("\n", " ")
    assert (course / "gradebook.db").exists()


def test_a_learners_copy_is_never_overwritten(lab, tmp_path, capsys):
    cli.copy_labs(tmp_path)
    mine = tmp_path / lab.notebook.name
    assert mine.read_bytes() == lab.notebook.read_bytes()
    mine.write_text("my work", encoding="utf-8")
    cli.copy_labs(tmp_path)
    assert mine.read_text(encoding="utf-8") == "my work"
    assert "kept" in capsys.readouterr().out


@pytest.mark.slow
def test_the_committed_notebooks_and_syllabus_are_current():
    done = run("weave", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_weave_check_fails_on_a_stale_notebook(monkeypatch, tmp_path):
    from autograder import syllabus

    notebook = tmp_path / "lab03_magnitude.ipynb"
    files = {notebook: "what the sources say\n"}
    assert syllabus.stale(files) == [notebook]  # missing
    notebook.write_text("what they said before\n", encoding="utf-8")
    assert syllabus.stale(files) == [notebook]
    notebook.write_text("what the sources say\n", encoding="utf-8")
    assert syllabus.stale(files) == []
