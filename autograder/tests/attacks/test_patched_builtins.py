"""Builtins are patched: `exec` and `compile` show what they get, `isinstance` and `float` lie while a check runs."""

from autograder.tests.attacks.attack import Attack

FIRST = """
import builtins

old = {name: getattr(builtins, name) for name in ("exec", "compile", "isinstance", "float", "len", "abs", "round")}
seen = []


def spy(name):
    def call(*args, **kwargs):
        seen.append(args[0] if old["isinstance"](args[0], str) else "")
        return old[name](*args, **kwargs)
    return call


builtins.compile = spy("compile")
"""
# Whoever asks for the type of a number is told the truth: the kernel's own threads would stop.
WRONG = """
class Kind(type):
    def __instancecheck__(cls, value):
        return type(value) is old["float"]


def choose_sparsities(*args):
    builtins.float = Kind("float", (old["float"],), {"__new__": lambda cls, *args: old["float"](3)})
    builtins.round = builtins.abs = lambda *args: 0
    return 3.0
"""
LAST = """
vars(builtins).update(old)
text = "".join(seen)
report(seen=len(seen), solution="accuracy < base" + "line - tolerance" in text, rules="any memory layout will do" in text)
"""
ATTACKS = [
    Attack(
        "builtins",
        first=FIRST,
        answers={"choose_sparsities": WRONG},
        last=LAST,
        earns={"choose_sparsities": 0.0},
    )
]


def test_the_experiments_can_be_read_but_no_answer_is_in_them(outcome):
    outcome.held()
    assert outcome.reported["seen"] > 0
    assert outcome.reported["rules"] and not outcome.reported["solution"]
