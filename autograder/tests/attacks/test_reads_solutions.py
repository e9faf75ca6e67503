"""The solutions, checks and wrong answers are looked for: imported, opened, listed, found by name on the whole disk."""

from autograder.tests.attacks.attack import Attack

FIRST = """
import importlib, importlib.util, os, pkgutil, sys

places = [PLACES.repository, f"{PLACES.repository}/solutions", f"{PLACES.repository}/autograder", PLACES.course, PLACES.victim,
          PLACES.home, *sys.path, "../..", "/proc/1/root" + PLACES.repository, "/proc/self/root" + PLACES.course,
          "/proc/1/cwd/../../solutions", os.path.expanduser("~/solutions")]
found = [place + "/" + name for place in places
         for name in ("solutions", "lab03_magnitude.py", "autograder", "checks", "gradebook.db", "secret.txt",
                      "source", "submitted", "wrong_answers", ".git")
         if os.path.exists(place + "/" + name) and (os.path.isfile(place + "/" + name) or os.listdir(place + "/" + name))]
imported = []
for name in ("solutions.lab03_magnitude", "autograder.checks.lab03_magnitude", "autograder.experiment", "autograder.labs",
             "autograder.wrong_answers.lab03_magnitude", "autograder.demo"):
    try:
        importlib.import_module(name)
        imported.append(name)
    except Exception:
        pass
loaded = [name for name in sys.modules if name.startswith(("solutions", "autograder.judge", "autograder.labs"))]
walked, seen = [], 0
for top in (*TOPS, PLACES.repository + "/solutions", PLACES.course):
    for place, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name not in ("site-packages", ".pyenv")]
        seen += len(names)
        walked += [f"{place}/{name}" for name in (*folders, *names)
                   if "solution" in name or name.startswith(("lab03_magnitude.py", "lab03_magnitude.ipynb", "gradebook")) or name == "secret.txt"]
        if seen > 100_000:
            break
report(found=found, imported=imported, loaded=loaded, walked=walked)
"""
WRONG = """
def row_scores(*args):
    return sys.modules["solutions.lab03_magnitude"].row_scores(*args)
"""
TOPS = ("/tmp", "/home", "/root", "/work", "/mnt", "/var", "/srv", "/etc", "/run", "/dev")
ATTACKS = [
    Attack("walk", first=f"TOPS = {TOPS}\n" + FIRST),
    Attack(
        "solutions",
        first="TOPS = ()\n" + FIRST,
        answers={"row_scores": WRONG},
        earns={"row_scores": 0.0},
        unprotected=True,
    ),
]


def test_none_is_found(outcome):
    outcome.held()
    assert set(outcome.reported["imported"]) == set()
    assert outcome.reported["found"] == outcome.reported["loaded"] == outcome.reported["walked"] == []


def test_without_a_sandbox_they_are_found(unprotected):
    assert unprotected.reported["found"] and unprotected.reported["imported"]
    assert unprotected.points["row_scores"] == 3
