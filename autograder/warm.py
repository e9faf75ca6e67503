"""The warm process: torch and the rest are loaded once, and each kernel is forked from it into a sandbox of its own.

`python -m autograder.warm` is started by provisioner.WarmProcess with a clean environment. Its first line of input
says what to load and what the kernels may see; when its input ends, its owner is gone, and so is it. Every connection
to its socket asks for one kernel: the warm process forks a monitor, which stays outside of the sandbox, forks the
kernel into it, watches what it uses, ends it when it should end, and reports how it ended. Nothing here is secret: a
kernel inherits this process's memory, so nothing that a learner must not see may ever come here.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from autograder import sandbox
from autograder.sandbox import Limits, SandboxError, View

PACKET = 1 << 16
TICK = 0.1  # seconds between two looks at what a kernel uses
CHANNELS = ("shell", "iopub", "stdin", "control")  # in this order their listening sockets come with a request


def main() -> None:
    config = json.loads(sys.stdin.buffer.readline())
    listener = socket.socket(fileno=int(sys.argv[1]))
    view = View(tuple(config["shown"]), tuple(config["hidden"]))
    for name in config["modules"]:
        with suppress(
            Exception
        ):  # a module that is not there here is loaded by whoever needs it, or not at all
            importlib.import_module(name)
    sandbox.seccomp_available()
    settle()
    problem = trial(view)
    os.write(1, json.dumps({"problem": problem}).encode() + b"\n")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    if not problem:
        serve(listener, view)


def settle() -> None:
    """Get ready to be forked: one thread, small steps already made once, and no garbage to collect."""
    torch = sys.modules.get("torch")
    if torch:
        torch.set_num_threads(1)
        (torch.ones(2, requires_grad=True) * 2).sum().backward()
    threads = [Path(task, "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    if len(threads) > 1:
        raise RuntimeError(f"a process with several threads cannot be forked safely: {threads}")
    gc.collect()
    gc.freeze()


def trial(view: View) -> str:
    """Make a sandbox and leave it. Returns why it cannot be made, or ""."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            sandbox.enter_user_namespace()
            if (child := os.fork()) == 0:
                sandbox.enter(view, Limits())
                os._exit(0)
            os.waitpid(child, 0)
        except SandboxError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.wait()
    with os.fdopen(reader, "rb") as pipe:
        return pipe.read().decode()


def serve(listener: socket.socket, view: View) -> None:
    """Fork a monitor for each connection, until the owner is gone."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(0, select.POLLIN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no one waits for monitors
    while True:
        ready = dict(poll.poll())
        if 0 in ready:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                monitor(connection, view)
            finally:
                os._exit(0)
        connection.close()


# --- the monitor -------------------------------------------------------------------------------------------------


def monitor(connection: socket.socket, view: View) -> None:
    """Start one kernel and see it to its end. What the owner sends: b"i" interrupt, b"k" kill; gone: kill."""
    data, listeners, _, _ = socket.recv_fds(connection, PACKET, len(CHANNELS))
    request = json.loads(data)
    limits = Limits(**request["limits"])
    reader, writer = os.pipe()
    try:
        sandbox.enter_user_namespace()
    except SandboxError as error:
        send(connection, {"problem": str(error)})
        return
    kernel = os.fork()
    if kernel == 0:
        os.setsid()
        connection.close()
        os.close(reader)
        run_kernel(request, listeners, writer, view, limits)
    os.close(writer)
    for descriptor in listeners:
        os.close(descriptor)
    with os.fdopen(reader, "rb") as pipe:
        send(connection, json.loads(pipe.read() or b'{"problem": "the kernel died before it started"}'))
    send(connection, watch(connection, kernel, limits))


def watch(connection: socket.socket, kernel: int, limits: Limits) -> dict:
    """Wait for the kernel's end; end it where a limit is reached or the owner says so. Returns how it ended."""
    start, limit, peak, cpu = time.monotonic(), "", 0, 0.0
    descriptor = os.pidfd_open(kernel)
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    poll.register(descriptor, select.POLLIN)
    while True:
        ready = dict(poll.poll(TICK * 1000))
        if descriptor in ready:
            break
        _, resident, cpu = sandbox.usage(kernel)
        if resident > limits.memory:  # pages that processes share count once
            resident = sandbox.proportional(kernel)
        peak = max(peak, resident)
        if connection.fileno() in ready:
            order = connection.recv(1)
            os.kill(kernel, signal.SIGINT if order == b"i" else signal.SIGKILL)
            if not order:
                poll.unregister(connection)
            continue
        if resident > limits.memory:
            limit = "memory"
        elif cpu > limits.cpu_seconds:
            limit = "CPU time"
        elif time.monotonic() - start > limits.run_seconds:
            limit = "run time"
        if limit:
            os.kill(kernel, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(kernel, 0)[1])
    if code == -signal.SIGXCPU:
        limit = "CPU time"
    return {"exit": code, "limit": limit, "memory": peak, "cpu": cpu}


def send(connection: socket.socket, message: dict) -> None:
    with suppress(OSError):  # the owner is gone
        connection.send(json.dumps(message).encode())


# --- the kernel --------------------------------------------------------------------------------------------------


def run_kernel(request: dict, listeners: list[int], status: int, view: View, limits: Limits) -> None:
    """Be a Jupyter kernel in a sandbox. Never returns."""
    try:
        keep = {*listeners, status}
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        for descriptor in range(3, 4096):
            if descriptor not in keep:
                with suppress(OSError):
                    os.close(descriptor)
        layers = sandbox.enter(view, limits, request["files"])
        draw_new_random_numbers()
        app = make_app(request, dict(enumerate(listeners, start=1)))
        os.write(status, json.dumps({"layers": layers}).encode())
    except BaseException as error:
        os.write(status, json.dumps({"problem": f"{type(error).__name__}: {error}"}).encode())
        os._exit(1)
    os.close(status)
    try:
        app.start()
    finally:
        os._exit(0)


def draw_new_random_numbers() -> None:
    """No two kernels share the state of a random generator."""
    import random

    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    if torch := sys.modules.get("torch"):
        torch.seed()


def make_app(request: dict, listeners: dict[int, int]):
    """An IPython kernel whose channels are sockets that listen already: nothing of them is in the file system."""
    import zmq
    from ipykernel.control import ControlThread
    from ipykernel.kernelapp import IPKernelApp
    from ipykernel.shellchannel import ShellChannelThread

    class App(IPKernelApp):
        def init_connection_file(self):
            self.transport, self.ip = "ipc", request["prefix"]
            for port, name in enumerate(CHANNELS, start=1):
                setattr(self, f"{name}_port", port)
            self.session.key = request["key"].encode()

        def write_connection_file(self, **kwargs):
            pass

        def _try_bind_socket(self, s, port):
            s.setsockopt(zmq.USE_FD, listeners[port])
            s.bind(f"ipc://{self.ip}-{port}")
            return port

        def init_control(self, context):  # without the debugger's connection back to the shell channel
            self.control_socket = context.socket(zmq.ROUTER)
            self.control_socket.linger = 1000
            self._bind_socket(self.control_socket, self.control_port)
            self.debugpy_socket = context.socket(zmq.STREAM)
            self.debug_shell_socket = context.socket(zmq.DEALER)
            self.control_thread = ControlThread(daemon=True)
            self.shell_channel_thread = ShellChannelThread(context, daemon=True)

        def init_heartbeat(self):  # the monitor knows better whether the kernel lives
            pass

    App.clear_instance()
    app = App.instance(capture_fd_output=False, log_level="CRITICAL")
    app.config.HistoryManager.enabled = False
    app.initialize([])
    # exit() in a cell would stop the kernel a moment later, in another cell.
    app.shell.unobserve_all("exit_now")
    return app


if __name__ == "__main__":
    main()
