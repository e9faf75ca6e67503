"""What comes back would run code where someone unpickles it; files that do the same lie beside the notebook."""

import os
import pickle

from autograder.tests.attacks.attack import Attack


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/left-over-pickle /dev/shm/left-over-pickle",)


FILES = {"results.pkl": pickle.dumps(Evil()), "cache/__init__.py": b"", "conftest.py": b"1 / 0", "torch.py": b"1 / 0",
         "sitecustomize.py": b"1 / 0", "nbgrader_config.py": b"1 / 0", ".ipython/profile_default/startup/0.py": b"1 / 0",
         "ipython_config.py": b"1 / 0"}  # fmt: skip
WRONG = """
import os


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/left-over-pickle",)

    __getstate__ = __deepcopy__ = __copy__ = __array__ = __reduce__


def row_scores(*args):
    return Evil()
"""
ATTACKS = [Attack("pickle", answers={"row_scores": WRONG}, files=FILES, earns={"row_scores": 0.0})]


def test_nothing_is_unpickled_and_no_file_is_executed(outcome):
    outcome.held()
