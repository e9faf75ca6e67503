"""The grader is run by an ordinary user, who has no privilege to give up: the sandbox must hold there too."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from autograder.labs import ROOT

USER = "1234"
# Run a program as that user, also where the interpreter or this repository lies in root's home, which is closed.
AS_USER = """
set -e
case "$INTERPRETER" in /root/*)
    mkdir -p "$SCRATCH/interpreter"
    mount --bind "$INTERPRETER" "$SCRATCH/interpreter"
    mount -t tmpfs -o mode=755 none /root
    mkdir -p "$INTERPRETER"
    mount --move "$SCRATCH/interpreter" "$INTERPRETER"
esac
exec setpriv --reuid {user} --regid {user} --clear-groups "$@"
""".replace("{user}", USER)
GRADE = """
import json, sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell

from autograder import batch
from autograder.course import Course
from autograder.labs import find_lab
from autograder.submission import solve
from autograder.weave import weave

if __name__ == "__main__":
    lab, course = find_lab("lab03"), Course(Path(sys.argv[1], "course"))
    course.prepare(lab)
    (course.root / "secret.txt").write_text("a canary")
    questions = [exercise.name for exercise in weave(lab).exercises]
    solved = solve(nbformat.read(course.notebook("release", lab), as_version=4), lab, questions)
    for student, code in (("attacker", sys.argv[2]), ("neighbour", "")):
        notebook = nbformat.from_dict(dict(solved, cells=[new_code_cell(code), *solved.cells]))
        path = course.notebook("submitted", lab, student)
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    results = list(batch.grade(course, lab, ["attacker", "neighbour"], batch.Options(jobs=1)))
    attacker = nbformat.read(course.notebook("autograded", lab, "attacker"), as_version=4)
    print(json.dumps({
        "scores": {result.student: result.score for result in results},
        "layers": {result.student: result.layers for result in results},
        "problems": [result.problem for result in results],
        "said": "".join(output.text for output in attacker.cells[0].outputs if "text" in output),
        "canary": (course.root / "secret.txt").read_text(),
    }))
"""
ATTACK = """
import ctypes, os, socket

found = []
for path in ({course!r}, "/root", "/home", "/etc/shadow", {repository!r} + "/solutions"):
    found += [path] * (os.path.exists(path) and (os.path.isfile(path) or os.listdir(path) != []))
for pid in (os.getppid(), {grader}, -1):
    try:
        os.kill(pid, 9)
        found.append("signal") if pid not in (0, -1) else None
    except OSError:
        pass
try:
    socket.create_connection(("192.0.2.1", 80), timeout=0.3)
    found.append("network")
except OSError:
    pass
libc = ctypes.CDLL(None)
found += ["unshare"] * (libc.unshare(0x10000000) == 0) + ["setuid"] * (libc.setuid(0) == 0)
print("FOUND", [path for path in found if not path.startswith("/root") or os.listdir(path) != [".pyenv"]], os.getpid())
"""


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user")
def test_two_submissions_are_graded_by_an_ordinary_user():
    for program in ("unshare", "setpriv", "mount"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed: apt-get install util-linux")
    if str(ROOT).startswith("/root/"):
        pytest.skip("this repository lies in root's home, which no other user can read")
    with tempfile.TemporaryDirectory(prefix="ordinary-", dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        attack = ATTACK.format(course=f"{folder}/course", repository=str(ROOT), grader=os.getpid())
        script = Path(folder, "grade.py")
        script.write_text(GRADE)
        home = Path(folder, "home")
        home.mkdir(mode=0o777)
        home.chmod(0o777)
        environment = os.environ | {
            "INTERPRETER": sys.base_prefix, "SCRATCH": folder, "HOME": str(home), "PYTHONPATH": str(ROOT),
            "TMPDIR": "/tmp",
        }  # fmt: skip
        command = ["unshare", "-m", "sh", "-c", AS_USER, "sh", sys.executable, script, folder, attack]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, cwd=folder
        )
        if "unshare failed" in done.stderr or "mount:" in done.stderr:
            pytest.skip(f"this machine lets not even root mount: {done.stderr.splitlines()[-1]}")
        if "does not let the grader make a sandbox" in done.stderr:
            pytest.skip("this machine does not let an ordinary user make a user namespace")
        assert done.returncode == 0, done.stderr[-3_000:]
        found = json.loads(done.stdout.splitlines()[-1])
    assert found["problems"] == ["", ""]
    assert found["scores"] == {"attacker": 22.0, "neighbour": 22.0}
    for layers in found["layers"].values():
        assert {"namespaces", "limits"} <= set(layers)
    assert found["said"].strip() == "FOUND [] 1"
    assert found["canary"] == "a canary"
