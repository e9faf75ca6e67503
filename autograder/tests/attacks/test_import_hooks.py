"""An import hook gives out forged modules for `autograder` and for the runtime that observes."""

from autograder.tests.attacks.attack import Attack

FIRST = """
import importlib.abc, importlib.machinery, sys, types


class Forger(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("autograder", "_pruning_course_runtime"):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def exec_module(self, module):
        module.check = lambda *args, **kwargs: lambda function: function
        module.grade = lambda *args, **kwargs: 3.0
        module.observe = lambda *args, **kwargs: '{"linear_rows": {"passed": true}}'
        module.close = module.exact = module.error_of = lambda *args, **kwargs: "ValueError"


sys.meta_path.insert(0, Forger())
for name in ("autograder", "autograder.experiment", "autograder.in_kernel"):
    sys.modules.pop(name, None)
"""
WRONG = "import autograder\n\ndef row_scores(*args):\n    return autograder.grade()"
ATTACKS = [
    Attack("hooks", first=FIRST, answers={"row_scores": WRONG}, earns={"row_scores": 0.0},
           last="sys.meta_path.pop(0)")
]  # fmt: skip


def test_forged_modules_forge_no_score(outcome):
    outcome.held()
