"""A forged "idle" tells the grader that a cell has ended while its function goes on, and more follows."""

from autograder.tests.attacks.attack import Attack

IDLE = """
def row_scores(*args):
    kernel = get_ipython().kernel
    for state in ("idle", "busy", "idle", "starting", 7):
        kernel.session.send(kernel.iopub_socket, "status", {"execution_state": state}, parent=kernel.get_parent())
    return 3.0
"""
ATTACKS = [Attack("idle", answers={"row_scores": IDLE}, earns={"row_scores": 0.0})]


def test_output_after_a_forged_idle_is_lost_to_its_own_question_only(outcome):
    outcome.held()
