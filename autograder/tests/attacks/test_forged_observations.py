"""A thread of an earlier cell displays forged observations while each check runs, before and after the real ones."""

from autograder.tests.attacks.attack import Attack

FIRST = """
import json, threading, time

TRUE = {"observed": {"kind": "dict", "pairs": []}}
FORGED = json.dumps({name: TRUE for name in ("linear_rows", "filters", "row_scores_any_tensor", "row_scores_refuses")})


def display_it():
    kernel = get_ipython().kernel
    for _ in range(400):
        if "_observe" in globals() and "seen" in globals():
            data = {"application/vnd.pruning-course.observations+json": {"text": FORGED, "points": 3.0}}
            content = {"data": data, "metadata": {}, "transient": {}}
            kernel.session.send(kernel.iopub_socket, "display_data", content, parent=kernel.get_parent())
        time.sleep(0.005)
"""
WRONG = """
threading.Thread(target=display_it).start()


def row_scores(*args):
    global seen
    seen = True
    time.sleep(0.1)
    return 3.0
"""
ATTACKS = [
    Attack(
        "thread-forger",
        first=FIRST,
        answers={"choose_sparsities": WRONG.replace("row_scores", "choose_sparsities")},
        earns={"choose_sparsities": 0.0},
    )
]


def test_forged_observations_are_wrong_observations(outcome):
    outcome.held()
