"""What code in a kernel sees, reaches and may use up, asked from inside; and what is left of it outside."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from autograder import sandbox
from autograder.labs import ROOT
from autograder.provisioner import WarmKernelManager, WarmProcess, importable, warm_modules
from autograder.sandbox import Limits, overlapping

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")]


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    with WarmProcess() as warm:
        yield warm


@contextmanager
def kernel(warm, **options):
    """A kernel; yields a function that runs code in it and returns what it printed."""
    files = options.pop("files", None)
    manager = WarmKernelManager(warm.address, Limits(**options), files)
    client = NotebookClient(new_notebook(), km=manager, allow_errors=True, shutdown_kernel="immediate")
    with client.setup_kernel(cleanup_kc=True):

        def run(code: str) -> str:
            client.nb.cells = [new_code_cell(code)]
            outputs = client.execute_cell(client.nb.cells[0], 0).outputs
            return "".join(map(said, outputs))

        run.provisioner = manager.provisioner
        yield run


@pytest.fixture
def run(warm):
    with kernel(warm) as run:
        yield run


def said(output) -> str:
    """What a person reads of an output."""
    if output.output_type == "stream":
        return output.text
    return f"{output.ename}: {output.evalue}" if output.output_type == "error" else output.data["text/plain"]


def test_it_sees_the_interpreter_labkit_and_data_and_nothing_else_of_the_project(run):
    code = f"import os, json; print(json.dumps(os.listdir({str(ROOT)!r})))"
    assert set(json.loads(run(code))) <= {".venv", "labs", "data"}
    assert (
        run("import os; print(os.path.exists('/home'), os.path.exists('/var'), os.environ['HOME'])")
        == "False False /tmp/home\n"
    )
    assert run(f"import os; print(os.listdir({str(ROOT / 'labs')!r}))").strip() == "['labkit']"
    assert "No module named 'solutions'" in run("import solutions.lab03_magnitude")
    assert (
        run(
            "from labkit.checkpoints import load_checkpoint; print(len(list(load_checkpoint('mlp', 0).parameters())) > 0)"
        )
        == "True\n"
    )


def test_it_cannot_write_anywhere_but_in_its_own_temporary_folder(run):
    code = """
import os, sys, labkit
for place in ("/", "/usr", "/etc", sys.prefix, sys.base_prefix, os.path.dirname(labkit.__file__), "/proc/sys/kernel", "/dev"):
    try:
        open(os.path.join(place, "x"), "w")
        print("wrote", place)
    except OSError:
        pass
open("x", "w"), open("/tmp/x", "w"), open("/dev/shm/x", "w")
print("end")
"""
    assert run(code) == "end\n"


def test_it_is_nobody_with_no_way_up(run):
    status = run("print(open('/proc/self/status').read())")
    fields = dict(line.split(":\t") for line in status.strip().splitlines() if ":\t" in line)
    assert {fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert fields["NoNewPrivs"] == "1"
    assert fields["Uid"].split() == ["1000"] * 4
    assert fields["Seccomp"] == ("2" if "seccomp" in run.provisioner.layers else "0")
    assert run("import os; print(os.getpid(), os.getppid())") == "1 0\n"
    threads = "import glob; print({l for t in glob.glob('/proc/self/task/*/status') for l in open(t) if l.startswith('CapEff')})"
    assert run(threads) == "{'CapEff:\\t0000000000000000\\n'}\n"


def test_it_can_make_no_namespace_and_no_mount(run):
    code = """
import ctypes
libc = ctypes.CDLL(None)
print([libc.unshare(flag) for flag in (0x10000000, 0x20000, 0x40000000)], libc.mount(b"x", b"/tmp", b"tmpfs", 0, None))
"""
    assert run(code) == "[-1, -1, -1] -1\n"
    assert run("print(open('/proc/sys/user/max_user_namespaces').read())").strip() == "0"


def test_its_network_is_empty_but_for_the_loopback_device(run):
    code = """
import socket
print([name for _, name in socket.if_nameindex()])
for address in (("1.1.1.1", 53), ("169.254.169.254", 80)):
    try:
        socket.create_connection(address, timeout=2)
        print("connected")
    except OSError as error:
        print(error)
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
"""
    assert run(code) == "['lo']\n[Errno 101] Network is unreachable\n[Errno 101] Network is unreachable\n"


def test_its_environment_holds_what_we_put_there_and_no_more(monkeypatch):
    monkeypatch.setenv("A_SECRET", "7dd1c1")
    with WarmProcess() as own, kernel(own) as run:
        assert "7dd1c1" not in run("import os; print(dict(os.environ), open('/proc/self/environ').read())")


def test_a_hidden_folder_inside_a_shown_one_is_empty(tmp_path):
    hidden = Path(sys.prefix) / "hidden-in-a-test"
    hidden.mkdir()
    (hidden / "gradebook.db").touch()
    link = tmp_path / "link"
    link.symlink_to(hidden)
    try:
        with WarmProcess(hidden=[str(link)]) as own, kernel(own) as run:
            assert run(f"import os; print(os.listdir({str(hidden)!r}))") == "[]\n"
    finally:
        (hidden / "gradebook.db").unlink()
        hidden.rmdir()


def test_submitted_files_lie_in_its_working_folder_and_links_do_not(warm, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "table.csv").write_text("1,2")
    (tmp_path / "passwd").symlink_to("/etc/passwd")
    with kernel(warm, files=str(tmp_path)) as run:
        assert run("import os; print(os.listdir('.'), open('deep/table.csv').read())") == "['deep'] 1,2\n"
        run("open('deep/table.csv', 'w').write('mine')")
    assert (tmp_path / "deep" / "table.csv").read_text() == "1,2"


@pytest.mark.parametrize(
    ("code", "limits", "said"),
    [
        ("import numpy; numpy.ones(10**9)", {}, "MemoryError"),
        ("open('x', 'wb').write(bytes(2 << 20))", {"file_bytes": 1 << 20}, "File too large"),
        ("[open(f'{i}', 'wb').write(bytes(1 << 20)) for i in range(50)]", {"disk_bytes": 20 << 20}, "No space left"),
        ("import os\nfor i in range(99): os.fork() or __import__('time').sleep(9)", {"processes": 40}, "temporarily unavailable"),
    ],
    ids=["memory", "file", "disk", "processes"],
)  # fmt: skip
def test_a_limit_fails_the_call_that_passes_it(warm, code, limits, said):
    with kernel(warm, **limits) as run:
        assert said in run(code)


@pytest.mark.parametrize(
    ("code", "limits", "limit"),
    [
        ("import os\nfor i in range(20): os.fork() or (bytearray(b'x') * (50 << 20), __import__('time').sleep(30))\n__import__('time').sleep(30)",
         {"memory": 600 << 20}, "memory"),
        ("while True: pass", {"cpu_seconds": 1}, "CPU time"),
        ("import time; time.sleep(30)", {"run_seconds": 1}, "run time"),
    ],
    ids=["memory", "CPU", "run"],
)  # fmt: skip
def test_a_limit_of_all_processes_together_ends_the_kernel(warm, code, limits, limit):
    from nbclient.exceptions import DeadKernelError

    with kernel(warm, **limits) as run:
        with pytest.raises(DeadKernelError):
            run(code)
        assert run.provisioner.report["limit"] == limit


def test_nothing_is_left_when_a_kernel_has_ended(warm):
    with kernel(warm) as run:
        run("""
import os, signal, threading, time
for i in range(3):
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
open("/dev/shm/left", "w").write("x")
""")
        assert len(children(warm.pid)) > 4
    for _ in range(100):
        if not children(warm.pid):
            break
        time.sleep(0.1)
    assert children(warm.pid) == []
    assert not Path("/dev/shm/left").exists()
    with kernel(warm) as run:
        assert run("import os; print(os.listdir('/dev/shm'), os.listdir('.'))") == "[] []\n"


def children(pid: int) -> list[int]:
    """All processes below one."""
    found, waiting = [], [pid]
    while waiting:
        try:
            below = sandbox._children(waiting.pop())
        except OSError:
            continue
        found += below
        waiting += below
    return found


def test_no_two_kernels_share_random_numbers(warm):
    code = "import random, numpy, torch; print(random.random(), numpy.random.rand(), torch.rand(1))"
    with kernel(warm) as one, kernel(warm) as two:
        assert len({*one(code).split(), *two(code).split()}) == 6


def test_a_kernel_has_torch_and_the_rest_loaded_already(run):
    loaded = run("import sys; print(*sys.modules)").split()
    assert {"torch", "numpy", "matplotlib.pyplot"} <= set(loaded)
    assert [name for name in warm_modules() if not importable(name)] == []


def test_the_monitors_count_of_what_a_process_uses_includes_its_children():
    code = "import os, time\nif os.fork() == 0: time.sleep(60)\nprint(flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        process.stdout.readline()
        processes, resident, _ = sandbox.usage(process.pid)
        assert processes == 2
        assert 0 < sandbox.proportional(process.pid) <= resident
        os.killpg(process.pid, 9)


def test_of_folders_that_lie_in_each_other_the_outer_ones_are_kept(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    paths = [str(tmp_path / "a" / "b"), str(tmp_path / "a"), str(tmp_path / "ab"), str(tmp_path / "a") + "/"]
    assert overlapping(paths) == tuple(sorted({str(tmp_path / "a"), str(tmp_path / "ab")}))
