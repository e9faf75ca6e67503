"""IPython transforms what it runs: an AST transformer drops all assertions, an input transformer the whole request."""

from autograder.tests.attacks.attack import Attack

TREE = """
import ast


class Drop(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.Pass()

    def visit_Compare(self, node):
        return ast.Constant(True) if "row_scores" in ast.unparse(node) else node

    def visit_Try(self, node):
        return ast.parse("3.0").body[0] if "'row_scores'" in ast.unparse(node) else node


get_ipython().ast_transformers.append(Drop())
"""
LINES = """
seen = []


def swallow(lines):
    seen.append("".join(lines))
    return ["3.0"] if "_observe" in seen[-1] and "'row_scores'" in seen[-1] else lines


get_ipython().input_transformers_cleanup.append(swallow)
"""
SAY = "report(solution=any('linalg.vector' + '_norm(rows' in text for text in seen), seen=len(seen))"
WRONG = {"row_scores": "def row_scores(*args):\n    return 3.0"}
ATTACKS = [
    Attack("tree", first=TREE, answers=WRONG, earns={"row_scores": 0.0}),
    Attack("lines", first=LINES, answers=WRONG, last=SAY, earns={"row_scores": 0.0}),
]


def test_a_request_that_is_swallowed_earns_nothing(outcome):
    outcome.held()
    assert "gave no result" in outcome.result.verdicts[2]["note"]
    assert not outcome.reported.get("solution")
