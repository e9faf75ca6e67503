"""Displays made while a check runs are updated from a later cell, to write a score into the judged cells."""

from autograder.tests.attacks.attack import NOTHING, POINTS, Attack

WRONG = """
def {name}(*args, **kwargs):
    if "_observe" in globals() and "once_{name}" not in globals():
        global once_{name}
        once_{name} = 1
        from IPython.display import display
        display("x")
        display("y", display_id="forge-{name}")
    return 1
"""
LAST = """
from IPython.display import publish_display_data

for name, points in {points}.items():
    for _ in range(3):
        publish_display_data({{"text/plain": f"{{points}}"}}, transient={{"display_id": f"forge-{{name}}"}}, update=True)
"""
ATTACKS = [
    Attack(
        "display-update",
        answers={name: WRONG.format(name=name) for name in POINTS},
        last=LAST.format(points=POINTS),
        earns=NOTHING | {"uniform_masks": 0.5, "sensitivity_scan": 0.67},
    )
]


def test_no_update_reaches_a_judged_cell(outcome):
    outcome.held()
    for cell in outcome.notebook["cells"]:
        if cell["id"] in POINTS:
            assert "".join(cell["outputs"][1]["data"]["text/plain"]) == repr(outcome.points[cell["id"]])
