"""Messages that no kernel would send: fields of wrong types, missing fields, deep trees, half surrogates, odd replies."""

from autograder.tests.attacks.attack import Attack

CONTENTS = """
kernel = get_ipython().kernel


def say(kind, content, **options):
    options.setdefault("parent", kernel.get_parent())
    kernel.session.send(kernel.iopub_socket, kind, content, **options)


deep = 1
for _ in range(400):
    deep = [deep]
for kind in ("stream", "display_data", "execute_result", "error", "status", "clear_output", "update_display_data",
             "execute_input", "comm_open", "comm_msg", "comm_close", "nonsense", "", "shutdown_reply"):
    for content in ({}, {"data": 1}, {"name": ["a"], "text": {"b": 1}}, {"text": ["a", "b"], "name": "stdout"},
                    {"ename": 1, "evalue": {}, "traceback": 5}, {"data": {"a": deep}, "metadata": 3},
                    {"data": {"application/json": float("nan")}, "metadata": {}, "transient": {"display_id": [1]}},
                    {"execution_state": "idle" * 9}, {"wait": "x"}, {"comm_id": {}, "data": None}):
        say(kind, content, metadata={"x": deep} if kind == "error" else None)
"""
SURROGATE = """
import json

session = get_ipython().kernel.session
session.pack = lambda value: json.dumps(value, default=str).encode()
print("\\\\ud800 half")
print(chr(0xD800), chr(0xDFFF))
"""
REPLY = """
session = get_ipython().kernel.session
old = session.send


def send(stream, kind, content=None, *args, **kwargs):
    if kind == "execute_reply":
        content = REPLY_CONTENT
    return old(stream, kind, content, *args, **kwargs)


session.send = send
"""
REPLIES = {
    "reply-types": '{"status": "error", "ename": "a", "evalue": "b", "traceback": 5, "execution_count": 1}',
    "reply-empty": "{}",
    "reply-huge": '{"status": "error", "ename": "a", "evalue": "b" * 15_000_000, "traceback": ["x"]}',
}
ATTACKS = [
    Attack("contents", first=CONTENTS, wild=True),
    Attack("surrogate", first=SURROGATE, wild=True),
    *(Attack(name, first=REPLY.replace("REPLY_CONTENT", text), wild=True) for name, text in REPLIES.items()),
]


def test_a_malformed_message_stops_nothing_but_its_sender(outcome):
    outcome.held()
