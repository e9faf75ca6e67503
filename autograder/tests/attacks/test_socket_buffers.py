"""Memory is hidden in socket and pipe buffers, which no limit on a process counts."""

from autograder.tests.attacks.attack import Attack

FIRST = """
import fcntl, os, socket

sent, pairs, raised = 0, [], []
try:
    while len(pairs) < 400:
        pair = socket.socketpair()
        pairs.append(pair)
        for end in pair:
            end.setblocking(False)
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
                raised.append("socket")
            except OSError:
                pass
            try:
                while sent < 500 << 20:
                    sent += end.send(bytes(1 << 16))
            except OSError:
                pass
except OSError as error:
    refused = str(error)
pairs.clear()
reader, writer = os.pipe()
try:
    fcntl.fcntl(writer, 1031, 1 << 20)
    raised.append("pipe")
except OSError:
    pass
report(sent=sent, refused=refused, raised=sorted(set(raised)))
"""
ATTACKS = [Attack("buffers", first=FIRST)]


def test_buffers_are_bounded(outcome):
    outcome.held()
    assert 0 < outcome.reported["sent"] < 100 << 20
    if "seccomp" in outcome.result.layers:
        assert outcome.reported["raised"] == []
