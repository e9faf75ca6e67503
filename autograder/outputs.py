"""What is kept of a cell's outputs: well-formed, of bounded size, and text that any file can hold."""

import json

from nbformat import NotebookNode
from nbformat.v4 import new_output

TEXT_BYTES = 100_000  # of one output's text
DATA_BYTES = 2_000_000  # of one part of a display, such as a picture
CELL_BYTES = 4_000_000
NOTEBOOK_BYTES = 20_000_000


def plain_text(value: object, limit: int = TEXT_BYTES) -> str:
    """Text of bounded length that can be written as UTF-8; the middle of a long one is left out."""
    text = (
        value
        if isinstance(value, str)
        else "".join(map(str, value))
        if isinstance(value, list)
        else str(value)
    )
    if len(text) > limit:
        text = f"{text[: limit // 2]}\n… {len(text) - limit} characters are left out …\n{text[-limit // 2 :]}"
    return text.encode("utf-8", "replace").decode()


def kept_outputs(outputs: object, room: int = CELL_BYTES) -> list[NotebookNode]:
    """The outputs of a cell that are kept, in their order, of at most `room` bytes. What is malformed is left out."""
    kept: list[NotebookNode] = []
    for output in outputs if isinstance(outputs, list) else []:
        try:
            clean = _kept(output)
            size = len(json.dumps(clean))
        except Exception:  # it came from a kernel, which may send anything
            continue
        if size > room:
            break
        room -= size
        kept.append(clean)
    return kept


def size_of(outputs: list[NotebookNode]) -> int:
    return sum(len(json.dumps(output)) for output in outputs)


def _kept(output: NotebookNode) -> NotebookNode:
    kind = output["output_type"]
    if kind == "stream":
        return new_output(
            "stream",
            name="stderr" if output["name"] == "stderr" else "stdout",
            text=plain_text(output["text"]),
        )
    if kind == "error":
        lines = output["traceback"] if isinstance(output["traceback"], list) else []
        return new_output(
            "error", ename=plain_text(output["ename"], 200), evalue=plain_text(output["evalue"], 2_000),
            traceback=[plain_text(line, 20_000) for line in lines[:100]],
        )  # fmt: skip
    if kind not in ("display_data", "execute_result"):
        raise ValueError(kind)
    data = {}
    for mime, part in output["data"].items():
        if isinstance(part, (str, list)) and not mime.endswith("json"):
            data[plain_text(mime, 200)] = plain_text(part, DATA_BYTES)
        elif mime.endswith("json") and len(text := json.dumps(part)) <= DATA_BYTES:
            data[plain_text(mime, 200)] = json.loads(text.encode("utf-8", "replace"))
    count = output.get("execution_count")
    extra = {"execution_count": count if isinstance(count, int) else None} if kind == "execute_result" else {}
    return new_output(kind, data=data, **extra)
