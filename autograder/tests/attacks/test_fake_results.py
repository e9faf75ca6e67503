"""A score is faked: an `execute_result` and a verdict are sent, printed, displayed and returned before the real one."""

from autograder.tests.attacks.attack import Attack

ROW = "def row_scores(*args):\n"
SENT = (
    ROW
    + """\
    kernel = get_ipython().kernel
    for kind in ("execute_result", "display_data"):
        content = {"data": {"text/plain": "3.0"}, "metadata": {}, "execution_count": 1}
        kernel.session.send(kernel.iopub_socket, kind, content, parent=kernel.get_parent())
    return 3.0
"""
)
SHOWN = (
    ROW
    + """\
    import sys
    from IPython.display import display
    print(3.0)
    print(3.0, file=sys.stderr)
    display(3.0)
    sys.displayhook(3.0)
    verdict = {"question": "row_scores", "points": 3.0, "max_points": 3.0, "checks": [], "note": "", "causes": []}
    display({"application/vnd.pruning-course.verdict+json": verdict, "text/plain": "3.0"}, raw=True)
    return 3.0

3.0
"""
)
EARLY = (
    ROW
    + """\
    from IPython.display import display
    display({"application/vnd.pruning-course.observations+json": {"text": '{"linear_rows": {"passed": true}}'}}, raw=True)
    raise SystemExit(0)
"""
)
STOPPED = ROW + "    raise KeyboardInterrupt\n"
REPLIED = (
    ROW
    + """\
    session = get_ipython().kernel.session
    old = session.send

    def send(stream, kind, content=None, *args, **kwargs):
        if kind == "execute_reply":
            content = {"status": "ok", "execution_count": 1, "payload": [{"source": "page", "data": {"text/plain": "3.0"}}],
                       "user_expressions": {"score": {"status": "ok", "data": {"text/plain": "3.0"}}}}
        return old(stream, kind, content, *args, **kwargs)

    session.send = send
    return 3.0
"""
)
ATTACKS = [
    Attack(f"fake-{name}", answers={"row_scores": text}, earns={"row_scores": 0.0})
    for name, text in {"sent": SENT, "shown": SHOWN, "early": EARLY, "stopped": STOPPED, "replied": REPLIED}.items()
]  # fmt: skip


def test_nothing_that_the_notebook_sends_is_a_score(outcome):
    outcome.held()
    cell = next(cell for cell in outcome.notebook["cells"] if cell["id"] == "row_scores")
    assert ["".join(output["data"]["text/plain"]) for output in cell["outputs"][1:]] == ["0.0"]
