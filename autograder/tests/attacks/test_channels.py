"""The kernel's own channels are attacked: its sockets looked for to be replaced, its key used, input asked for."""

from autograder.tests.attacks.attack import Attack

SOCKETS = """
import glob, os, socket

kernel = get_ipython().kernel
prefix = kernel.parent.ip
found = glob.glob(prefix + "*") + glob.glob(os.path.dirname(prefix) + "/*") + glob.glob("/tmp/warm-*")
connected = []
for number in range(5):
    for path in (f"{prefix}-{number}", os.path.dirname(os.path.dirname(prefix)) + "/warm"):
        try:
            with socket.socket(socket.AF_UNIX) as one:
                one.connect(path)
            connected.append(path)
        except OSError:
            pass
try:
    os.makedirs(os.path.dirname(prefix), exist_ok=True)
    os.symlink("/var/run/docker.sock", f"{prefix}-1")
except OSError:
    pass
report(found=found, connected=connected)
"""
INPUT = """
asked = []
for ask in (lambda: input("score?"), lambda: get_ipython().kernel._input_request("x", {}, {}),
            lambda: __import__("getpass").getpass()):
    try:
        get_ipython().kernel._allow_stdin = True
        ask()
        asked.append(True)
    except BaseException as error:
        asked.append(type(error).__name__)
"""
SHUTDOWN = """
kernel = get_ipython().kernel
for kind in ("shutdown_reply", "kernel_info_reply", "interrupt_reply", "execute_reply"):
    for stream in (kernel.shell_stream, kernel.control_stream, kernel.iopub_socket):
        try:
            kernel.session.send(stream, kind, {"status": "ok", "restart": True}, parent=kernel.get_parent(), ident=b"x")
        except Exception:
            pass
kernel.session.key = b"another"
kernel.session.auth = None
"""
ATTACKS = [
    Attack("sockets", first=SOCKETS),
    Attack("input", first=INPUT, wild=True),
    Attack("replies", first=SHUTDOWN, wild=True),
]


def test_the_channels_lead_nowhere(outcome):
    outcome.held()
    if outcome.attack.name == "sockets":
        assert outcome.reported == {"found": [], "connected": []}
