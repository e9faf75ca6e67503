"""What is kept of outputs: well-formed, bounded, writable; and what a kernel may send instead."""

import json

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook, new_output

from autograder.outputs import TEXT_BYTES, kept_outputs, plain_text, size_of

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
fields = (
    "output_type",
    "name",
    "text",
    "data",
    "metadata",
    "ename",
    "evalue",
    "traceback",
    "execution_count",
)
kinds = st.sampled_from(["stream", "display_data", "execute_result", "error", "else"])


def damaged():
    """Outputs as a kernel could send them: some fields right, others anything."""
    texts = st.dictionaries(st.sampled_from(["text/plain", "image/png", "application/json", "x"]), anything)
    return st.fixed_dictionaries(
        {"output_type": kinds}, optional=dict.fromkeys(fields[1:], anything | texts)
    ).map(nbformat.from_dict)


def test_ordinary_outputs_stay_as_they_are():
    outputs = [
        new_output("stream", name="stderr", text="a warning\n"),
        new_output("display_data", data={"text/plain": "<Figure>", "image/png": "aGVsbG8="}),
        new_output("execute_result", data={"text/plain": "4"}, execution_count=7),
        new_output("error", ename="ValueError", evalue="no", traceback=["line 1", "line 2"]),
    ]
    assert kept_outputs(outputs) == outputs


@given(st.lists(damaged(), max_size=5) | anything)
def test_whatever_a_kernel_sends_what_is_kept_is_a_valid_notebook_that_can_be_written(outputs):
    kept = kept_outputs(outputs)
    notebook = new_notebook(cells=[new_code_cell("", outputs=kept)])
    nbformat.validate(notebook)
    nbformat.writes(notebook).encode()


def test_long_text_loses_its_middle_and_says_how_much():
    text = plain_text("a" * TEXT_BYTES + "b" * TEXT_BYTES)
    assert text.startswith("aaa") and text.endswith("bbb")
    assert f"{TEXT_BYTES} characters are left out" in text


def test_half_a_surrogate_pair_becomes_a_question_mark():
    assert plain_text("x\ud800y") == "x?y"


def test_together_they_take_no_more_than_the_room_that_is_left():
    outputs = [new_output("stream", name="stdout", text="x" * 1000) for _ in range(50)]
    kept = kept_outputs(outputs, room=10_000)
    assert 5 < len(kept) < 10
    assert size_of(kept) <= 10_000


@pytest.mark.parametrize("mime", ["application/json", "application/vnd.thing+json"])
def test_a_large_piece_of_json_is_left_out_and_the_rest_stays(mime):
    output = new_output(
        "display_data", data={mime: json.loads("[" + "1," * 2_000_000 + "1]"), "text/plain": "4"}
    )
    assert kept_outputs([output]) == [new_output("display_data", data={"text/plain": "4"})]
