"""What is handed in is a link: to the course's secret, to another student's work, to a pipe, to a device, to "/"."""

import os
from pathlib import Path

from autograder.tests.attacks.attack import Attack, Places

NAME = "lab03_magnitude.ipynb"
LOOK = """
import glob, os

found = {}
for place in glob.glob("**", recursive=True) + glob.glob(".*"):
    try:
        found[place] = open(place, errors="replace").read(100)
    except OSError as error:
        found[place] = type(error).__name__
report(found=found)
"""


def notebook_is_a_link(folder: Path, places: Places) -> None:
    (folder / NAME).unlink()
    (folder / NAME).symlink_to(Path(places.victim, NAME))


def notebook_is_a_pipe(folder: Path, places: Places) -> None:
    (folder / NAME).unlink()
    os.mkfifo(folder / NAME)


def notebook_is_a_folder(folder: Path, places: Places) -> None:
    (folder / NAME).unlink()
    (folder / NAME).mkdir()


def notebook_is_not_there(folder: Path, places: Places) -> None:
    (folder / NAME).unlink()


def files_are_links(folder: Path, places: Places) -> None:
    (folder / "honest.txt").write_text("mine")
    (folder / "secret").symlink_to(Path(places.course, "secret.txt"))
    (folder / "victim").symlink_to(places.victim)
    (folder / "root").symlink_to("/")
    (folder / "self").symlink_to(".")
    (folder / "timestamp.txt").symlink_to(Path(places.course, "secret.txt"))
    os.mkfifo(folder / "pipe")
    (folder / "hard").mkdir()
    os.link(folder / "honest.txt", folder / "hard" / "link")


def answer_folder_is_a_link(folder: Path, places: Places) -> None:
    """Where the executed notebook will be written, a link to another student's submission stands already."""
    target = Path(places.course, "autograded", folder.parent.name)
    target.mkdir(parents=True)
    (target / folder.name).symlink_to(places.victim)


def whole_folder_is_a_link(folder: Path, places: Places) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.symlink_to(places.victim)


ATTACKS = [
    Attack("notebook-link", place=notebook_is_a_link, problem="cannot be read"),
    Attack("notebook-pipe", place=notebook_is_a_pipe, problem="not a regular file"),
    Attack("notebook-folder", place=notebook_is_a_folder, problem="not a regular file"),
    Attack("notebook-missing", place=notebook_is_not_there, problem="no file"),
    Attack("file-links", place=files_are_links, first=LOOK),
    Attack("answer-link", place=answer_folder_is_a_link),
    # `collect` leaves such a folder out, so this is what someone gets who hands it to `grade` all the same.
    Attack("folder-link", place=whole_folder_is_a_link),
]


def test_no_link_is_followed(outcome):
    outcome.held()
    if outcome.attack.name == "file-links":
        assert outcome.reported["found"] == {
            "honest.txt": "mine",
            "hard": "IsADirectoryError",
            "hard/link": "mine",
        }


def test_a_link_in_the_place_of_a_student_is_not_collected(lab, tmp_path):
    from autograder import batch

    (tmp_path / "honest" / lab.stem).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "honest")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / lab.stem).symlink_to(tmp_path / "honest" / lab.stem)
    assert [path.name for path in tmp_path.iterdir() if batch.has_submission(path, lab)] == ["honest"]
