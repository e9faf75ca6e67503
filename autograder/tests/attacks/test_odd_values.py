"""Answers that no one can compare: NaN, huge numbers, meta, sparse and quantized tensors, objects that misbehave."""

from autograder.tests.attacks.attack import Attack

FIRST = """
import torch


class Lazy:
    def __getattr__(self, name):
        return Lazy() if len(name) < 1000 else None

    def __call__(self, *args):
        return self


class Liar(list):
    def __len__(self):
        return -1

    def __iter__(self):
        while True:
            yield self


class Rude:
    def __repr__(self):
        raise SystemExit("no")

    __str__ = __len__ = __bool__ = __hash__ = __eq__ = __repr__

    @property
    def __class__(self):
        raise RuntimeError("no class")


class Number(int):
    def __int__(self):
        return 1 << 10_000_000

    __index__ = __float__ = __int__


class Error(Exception):
    def __str__(self):
        raise KeyboardInterrupt


def endless(depth=0):
    found = []
    found.append(found)
    return {"a": found, 1: found, None: (found,) * 4000}


def raising(error):
    raise error


CELLS = {
    "nan": lambda: torch.full((5,), float("nan")), "infinite": lambda: float("inf"), "huge": lambda: 10 ** 400_000,
    "huge float": lambda: torch.full((5,), 1e38) * 10, "meta": lambda: torch.empty(1 << 40, device="meta"),
    "sparse": lambda: torch.eye(5).to_sparse(), "quantized": lambda: torch.quantize_per_tensor(
        torch.ones(5), 0.1, 0, torch.qint8), "complex": lambda: torch.ones(5, dtype=torch.complex64),
    "expanded": lambda: torch.ones(1).expand(1 << 40), "empty": lambda: torch.empty(0, 1 << 40),
    "function": lambda: row_scores, "lazy": Lazy, "liar": lambda: Liar([1]), "rude": Rude, "number": Number,
    "bytes": lambda: b"x" * 100_000_000, "text": lambda: "x" * 100_000_000, "endless": endless,
    "array": lambda: __import__("numpy").array([Lazy(), None], dtype=object), "none": lambda: None,
    "generator": lambda: (x for x in range(10**9)), "range": lambda: range(10**15), "error": lambda: raising(Error()),
    "name": lambda: type("<script>alert(1)</script>" * 10_000, (), {})(),
    "raise name": lambda: raising(type("<script>" + "x" * 10**6, (Exception,), {})("y" * 10**7)),
}
"""
ODD = ("nan", "infinite", "huge", "huge float", "meta", "sparse", "quantized", "complex", "expanded", "empty",
       "function", "lazy", "liar", "rude", "number", "bytes", "text", "endless", "array", "none", "generator", "range",
       "error", "name", "raise name")  # fmt: skip
TURNS = """
turn = iter({names!r})


def row_scores(*args):
    return CELLS[next(turn)]()
"""


def attack(number: int) -> Attack:
    """Four values, since every attack has four experiments; the last one calls three times."""
    names = [*ODD[number : number + 5], "none", "none", "none"]
    text = TURNS.format(names=names)
    return Attack(f"odd-{number}", first=FIRST, answers={"row_scores": text}, earns={"row_scores": 0.0})


ATTACKS = [attack(number) for number in range(0, len(ODD), 5)]


def test_an_odd_value_earns_nothing_and_breaks_nothing(outcome):
    outcome.held()
    assert "<script>" not in "".join(verdict["note"] for verdict in outcome.result.verdicts)
    page = [output["data"].get("text/html", "") for cell in outcome.notebook["cells"]
            for output in cell.get("outputs", []) if "data" in output]  # fmt: skip
    assert "<script>" not in str(page)
