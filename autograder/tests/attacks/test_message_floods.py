"""Messages flood the grader: of many parts, of widgets, of another parent, and junk on its sockets."""

from autograder.tests.attacks.attack import Attack

PARTS = """
import time

kernel = get_ipython().kernel
part = bytes(6 << 20)
for _ in range(2):
    kernel.session.send(kernel.iopub_socket, "stream", {"name": "stdout", "text": "x"}, parent=kernel.get_parent(),
                        buffers=[part] * 20)
time.sleep(1)
"""
COMMS = """
kernel = get_ipython().kernel
part = bytes(1 << 20)
for number in range(30):
    data = {"state": {"_model_name": "x"}, "buffer_paths": [["p"]]}
    kernel.session.send(kernel.iopub_socket, "comm_msg", {"comm_id": f"c{number}", "data": data},
                        parent=kernel.get_parent(), buffers=[part])
"""
FOREIGN = """
import threading, time

kernel = get_ipython().kernel


def flood():
    for _ in range(20_000):
        kernel.session.send(kernel.iopub_socket, "stream", {}, parent={"header": {"msg_id": "another"}})


threading.Thread(target=flood, daemon=True).start()
time.sleep(0.5)
"""
JUNK = """
import os

for name in os.listdir("/proc/self/fd"):
    try:
        if int(name) > 2 and os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
            for junk in (bytes(64), b"\\\\xff" * 4096, os.urandom(4096), b"\\\\xff" + bytes(7) + b"\\\\x01\\\\x7f\\\\x03" + bytes(60)):
                os.write(int(name), junk)
    except OSError:
        pass
"""
ATTACKS = [
    Attack("parts", first=PARTS, stops=("output",)),
    Attack("comms", first=COMMS, stops=("output",)),
    Attack("foreign", first=FOREIGN, wild=True),
    Attack("junk", first=JUNK, wild=True),
]


def test_messages_are_bounded(outcome):
    outcome.held()
