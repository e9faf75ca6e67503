"""Everything is overwritten: the course, the gradebook, other submissions, a home, the data, the packages, the host."""

from autograder.tests.attacks.attack import Attack

FIRST = """
import os, shutil, sqlite3, sys

written = []
targets = {
    "course": f"{PLACES.course}/secret.txt", "gradebook": f"{PLACES.course}/gradebook.db", "victim": f"{PLACES.victim}/secret.txt",
    "home": f"{PLACES.home}/.bashrc", "key": f"{PLACES.home}/.ssh/id_ed25519", "tmp": PLACES.tmp, "shm": PLACES.shm,
    "data": f"{PLACES.data}/canary", "packages": f"{PLACES.packages}/left-over.pth", "config": f"{PLACES.course}/nbgrader_config.py",
}
for name, path in targets.items():
    try:
        if name == "gradebook":
            with sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=1) as database:
                database.execute("update grade set auto_score = 99")
        else:
            with open(path, "w" if name == "packages" else "r+") as file:
                file.write("mine")
        written.append(name)
    except (OSError, sqlite3.Error):
        pass
shutil.rmtree(PLACES.victim, ignore_errors=True)
report(written=written)
"""
SANDBOX_ONLY = """
import os

written = []
for folder in (PLACES.packages, PLACES.data, PLACES.repository, os.path.dirname(os.__file__), "/usr/lib", "/bin", "/etc", "/root"):
    for name in ("left-over.txt", "sitecustomize.py", "usercustomize.py", "../left-over.txt"):
        if os.path.dirname(os.path.realpath(f"{folder}/{name}")) == "/tmp":  # where it may write, and nobody sees it
            continue
        try:
            os.close(os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY))
            written.append(folder)
            os.unlink(f"{folder}/{name}")
        except OSError:
            pass
for path in (os.__file__, f"{PLACES.packages}/torch/__init__.py", "/usr/bin/env"):
    for change in (lambda: os.chmod(path, 0o777), lambda: os.unlink(path), lambda: os.utime(path), lambda: open(path, "a"),
                   lambda: os.rename(path, path + "x"), lambda: os.symlink("/", path + "x")):
        try:
            change()
            written.append(path)
        except OSError:
            pass
report(written=written)
"""
ATTACKS = [
    Attack("writes", first=FIRST, unprotected=True),
    Attack("writes-installed", first=SANDBOX_ONLY),
]


def test_nothing_is_written(outcome):
    outcome.held()
    assert outcome.reported["written"] == []


def test_without_a_sandbox_everything_is_written(unprotected):
    assert set(unprotected.reported["written"]) == {
        "course", "gradebook", "victim", "home", "key", "tmp", "shm", "data", "packages", "config",
    }  # fmt: skip
    assert unprotected.harm
