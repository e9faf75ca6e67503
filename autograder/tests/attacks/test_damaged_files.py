"""The file is no notebook: not JSON, too deep, of the wrong encoding, format or type, with cells like no other's."""

import json
import os

from autograder.tests.attacks.attack import Attack


def changed(**parts):
    return lambda data: json.dumps(json.loads(data) | parts).encode()


def with_cell(cell: object):
    def make(data: bytes) -> bytes:
        notebook = json.loads(data)
        notebook["cells"].insert(0, cell)
        return json.dumps(notebook).encode()

    return make


def cell(**parts) -> dict:
    return {
        "cell_type": "code",
        "id": "x",
        "metadata": {},
        "source": "",
        "outputs": [],
        "execution_count": None,
    } | parts


DEEP = b'{"nbformat": 4, "cells": ' + b"[" * 200_000


def nested(depth: int) -> dict:
    return {"a": nested(depth - 1)} if depth else {}


UNREADABLE = {
    "empty": (lambda data: b"", "not JSON"),
    "half": (lambda data: data[: len(data) // 2], "not JSON"),
    "deep": (lambda data: DEEP, "not JSON"),
    "utf-16": (lambda data: data.decode().encode("utf-16"), "UTF-8"),
    "latin-1": (lambda data: data.replace(b"Lab 3", b"Lab \xe9"), "UTF-8"),
    "zeros": (lambda data: bytes(1000), "not JSON"),
    "list": (lambda data: b"[1, 2, 3]", "not a valid notebook"),
    "number": (lambda data: b"1e999", "not a valid notebook"),
    "format-3": (changed(nbformat=3), "nbformat 4"),
    "format-x": (changed(nbformat="4"), "no nbformat"),
    "no-list": (changed(cells={"a": 1}), "nbformat 4"),
    "nested": (changed(metadata=nested(300)), "nested more than 100 deep"),
    "metadata": (changed(metadata=[1]), "not a valid notebook"),
    "many-cells": (changed(cells=[cell()] * 3_000), "more than 2000"),
    "cell-type": (with_cell(cell(cell_type="evil")), "not a valid notebook"),
    "cell-number": (with_cell(7), "not a valid notebook"),
    "cell-source": (with_cell(cell(source={"a": 1})), "not a valid notebook"),
    "half-surrogate": (with_cell(cell(source="print('\ud800')")), "not a valid notebook"),
    "other-lab": (changed(metadata={"pruning_course": {"lab": "lab99_" + "x" * 1000}}), "not of lab03"),
}
READABLE = {
    "bom": lambda data: b"\xef\xbb\xbf" + data,
    "minor": changed(nbformat_minor=-7),
    "extra": changed(extra={"a": [1, 2]}, metadata=nested(90)),
    "ids": with_cell(cell(id="../../" * 9)),
    "bad-outputs": with_cell(cell(outputs="no list", execution_count="many")),
    "attachments": with_cell({"cell_type": "raw", "metadata": {}, "source": ["a", "b"], "attachments": {"x": {"y": "z"}}}),
    "magic": with_cell(cell(source="%%nonsense --x\n!exit 1")),
    "null": with_cell(cell(source="a = 1\x00")),
}  # fmt: skip
ATTACKS = [Attack(name, file=make, problem=problem) for name, (make, problem) in UNREADABLE.items()]
ATTACKS += [Attack(name, file=make) for name, make in READABLE.items()]
# A file of 100 MB that takes no room on this disk.
ATTACKS += [
    Attack(
        "too-large",
        place=lambda folder, places: os.truncate(folder / "lab03_magnitude.ipynb", 100 << 20),
        problem="100 MB",
    )
]


def test_a_damaged_file_costs_its_own_submission_at_most(outcome):
    outcome.held()
    if outcome.attack.problem:
        assert outcome.result.score == 0
        assert len(outcome.result.problem) <= 500
