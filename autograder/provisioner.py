"""Kernels for the grader: a jupyter_client provisioner that gets each one forked from a warm process.

`WarmProcess` owns the warm process (autograder/warm.py). `WarmProvisioner` asks it for a kernel and talks with the
kernel's monitor. `WarmKernelManager` and `LimitedClient` are jupyter_client's own, made to fit: nothing that a kernel
sends can fill the grader's memory.
"""

import asyncio
import contextlib
import functools
import importlib.util
import json
import os
import secrets
import select
import shutil
import signal
import site
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from queue import Empty

import zmq
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import KernelProvisionerBase, LocalProvisioner
from traitlets import Any, default

from autograder.labs import ROOT, UsageError
from autograder.sandbox import HOME, Limits, overlapping
from autograder.warm import CHANNELS, PACKET

MESSAGE_BYTES = 12 << 20  # a longer message of a kernel closes the connection
WAITING_MESSAGES = 32  # of that size at most; a kernel that sends faster than it is read loses output
MODULES = ROOT / "autograder" / "warm_modules.json"


class WarmProcessLost(Exception):
    """The warm process, or a kernel's monitor, is gone through no fault of the submission: grade it again."""


class WarmProcess:
    """One warm process, started and owned by this one; it ends when this one does.

    Args:
        hidden: folders that no kernel may see, even where they lie in one that it sees.

    Raises:
        UsageError: where this system has no namespaces for it, or it does not start.
    """

    def __init__(self, hidden: Iterable[str] = ()):
        if sys.platform != "linux":
            raise UsageError(
                "The sandbox needs Linux; grade on a Linux machine, or with --isolation none the work of people you trust."
            )
        self.folder = Path(tempfile.mkdtemp(prefix="warm-"))
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(self.folder / "warm"))
        listener.listen(128)
        self.address = str(self.folder / "warm")
        with listener:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "autograder.warm", str(listener.fileno())],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/",
                env=clean_environment(), pass_fds=[listener.fileno()], start_new_session=True,
            )  # fmt: skip
        config = {
            "modules": warm_modules(),
            "shown": shown(),
            "hidden": [os.path.realpath(path) for path in (*own_folders(), *hidden)],
        }
        self._process.stdin.write(json.dumps(config).encode() + b"\n")
        self._process.stdin.flush()
        self._ready = False

    def wait_until_ready(self) -> "WarmProcess":
        """Wait until it can fork; the first sandbox has been made then."""
        if not self._ready:
            line = self._process.stdout.readline()
            if not line:
                raise WarmProcessLost("the warm process ended before it was ready")
            problem = json.loads(line)["problem"]
            if problem:
                self.close()
                raise UsageError(
                    f"{problem}; --isolation none grades without a sandbox, the work of people you trust."
                )
            self._ready = True
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def alive_soon(self) -> bool:
        """Whether it lives; one that is just being killed is given a moment to be dead."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)
        return self.alive

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "WarmProcess":
        return self.wait_until_ready()

    def __exit__(self, *_: object) -> None:
        self.close()


def clean_environment() -> dict[str, str]:
    """All that a kernel's environment holds: a kernel can read what its warm process was started with."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
    return threads | {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": HOME, "TMPDIR": "/tmp", "USER": "learner",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline", "MPLCONFIGDIR": f"{HOME}/matplotlib",
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip


def warm_modules() -> list[str]:
    """What a kernel has loaded after the reference run of every lab (`verify --record` writes it down)."""
    return json.loads(MODULES.read_text(encoding="utf-8"))


def record_modules(names: set[str]) -> None:
    """Write down what warm processes load from now on: of these modules those that can be imported by their name."""
    kept = sorted(name for name in names if importable(name))
    MODULES.write_text(json.dumps(kept, indent=0) + "\n", encoding="utf-8")


def importable(name: str) -> bool:
    """Whether a module can be found, is not made while running, and is neither the grader's nor a kernel's own."""
    if name.startswith(("__", "autograder", "solutions", "_pruning_course", "debugpy", "pydev", "_pydev")):
        return False
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return False
    return spec is not None and (spec.has_location or spec.origin in (None, "built-in", "frozen"))


def shown() -> list[str]:
    """What a kernel sees of this machine: the interpreter, its packages, labkit and the data."""
    paths = [sys.base_prefix, sys.prefix, *site.getsitepackages()]
    if site.ENABLE_USER_SITE:
        paths.append(site.getusersitepackages())
    for name in ("labkit", "labkit_data"):
        paths += importlib.util.find_spec(name).submodule_search_locations
    return [path for path in overlapping(paths) if not path.startswith("/usr/")]


def own_folders() -> list[str]:
    """The grader's own packages, which a kernel must not see where they are installed beside the others."""
    return [str(ROOT / "autograder"), str(ROOT / "solutions")]


class WarmProvisioner(KernelProvisionerBase):
    """Launches a kernel by asking a warm process for it, and signals it through its monitor.

    Attributes:
        address: of the warm process's socket.
        limits: of the kernel.
        files: a folder whose files are copied into the kernel's working folder, or None.
        layers: what the sandbox is made of, once the kernel has started.
        report: how the kernel ended: {"exit", "limit", "memory", "cpu"}; None while it lives.
    """

    address = Any()
    limits = Any(Limits())
    files = Any(None)
    layers = Any(())
    report = Any(None)
    _connection = None
    _folder = None

    @property
    def has_process(self) -> bool:
        return self._connection is not None

    async def pre_launch(self, **kwargs):
        return {"cmd": []}

    async def launch_kernel(self, cmd, **kwargs):
        key = secrets.token_hex(16)
        try:
            self._folder = tempfile.mkdtemp(prefix="k-", dir=Path(self.address).parent)
            prefix = f"{self._folder}/k"
            request = {"limits": self.limits.plain(), "files": self.files, "prefix": prefix, "key": key}
            with contextlib.ExitStack() as stack:
                listeners = []
                for port in range(1, len(CHANNELS) + 1):
                    listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                    listener.bind(f"{prefix}-{port}")
                    listener.listen(16)
                    listeners.append(listener.fileno())
                self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                self._connection.connect(self.address)
                socket.send_fds(self._connection, [json.dumps(request).encode()], listeners)
                message = await asyncio.get_running_loop().run_in_executor(None, self._receive, 60)
        except OSError as error:  # it was killed, and what it left was removed
            raise WarmProcessLost(f"the warm process does not answer: {error}") from None
        if "problem" in message:
            raise WarmProcessLost(f"a kernel could not be started: {message['problem']}")
        self.layers = message["layers"]
        self.connection_info = {
            "ip": prefix, "transport": "ipc", "key": key.encode(), "signature_scheme": "hmac-sha256", "hb_port": 5,
            **{f"{name}_port": port for port, name in enumerate(CHANNELS, start=1)},
        }  # fmt: skip
        return self.connection_info

    def _receive(self, timeout: float) -> dict:
        """The monitor's next message. Raises WarmProcessLost where it is gone, TimeoutError (an OSError)."""
        if not select.select([self._connection], [], [], timeout)[0]:
            raise TimeoutError("no answer")
        data = self._connection.recv(PACKET)
        if not data:
            raise WarmProcessLost("the monitor of a kernel is gone")
        return json.loads(data)

    async def poll(self):
        if self.report is None and self._connection is not None:
            with contextlib.suppress(TimeoutError):
                self.report = self._receive(0)
        return None if self.report is None else self.report["exit"]

    async def wait(self):
        loop = asyncio.get_running_loop()
        while await self.poll() is None:
            something = asyncio.Event()
            loop.add_reader(self._connection, something.set)
            try:
                await something.wait()
            finally:
                loop.remove_reader(self._connection)
        return self.report["exit"]

    async def send_signal(self, signum: int) -> None:
        order = {signal.SIGINT: b"i", signal.SIGKILL: b"k", signal.SIGTERM: b"k"}.get(signum)
        if order and self.report is None:
            with contextlib.suppress(OSError):
                self._connection.send(order)

    def end(self) -> None:
        """Kill the kernel without waiting."""
        with contextlib.suppress(OSError):
            self._connection.send(b"k")

    async def kill(self, restart: bool = False) -> None:
        await self.send_signal(signal.SIGKILL)
        await self.wait()

    async def terminate(self, restart: bool = False) -> None:
        await self.kill()

    async def cleanup(self, restart: bool = False) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


class OwnProvisioner(LocalProvisioner):
    """An ordinary kernel, as whoever runs the grader."""

    def end(self) -> None:
        """Kill the kernel without waiting."""
        if self.process:
            self.process.kill()


class LimitedClient(AsyncKernelClient):
    """A client that neither reads a message that is too long nor waits where there is nothing to wait for."""

    def start_channels(self, shell=True, iopub=True, stdin=True, hb=False, control=True):
        # No heartbeat: the monitor knows whether the kernel lives.
        super().start_channels(shell, iopub, stdin, False, control)
        sockets = [self.shell_channel.socket, self.iopub_channel.socket]
        self._monitors = [one.get_monitor_socket(zmq.EVENT_DISCONNECTED) for one in sockets]

    def stop_channels(self):
        for channel in (self.shell_channel, self.iopub_channel):
            channel.socket.disable_monitor()
        for monitor in self._monitors:
            monitor.close()
        super().stop_channels()

    @property
    def cut_off(self) -> bool:
        """Whether a connection was closed, as it is where a message is too long."""
        return any(zmq.Socket.shadow(monitor).poll(0) for monitor in self._monitors)

    async def wait_for_ready(self, timeout: float | None = 60) -> None:
        deadline = time.monotonic() + (timeout or 60)
        while time.monotonic() < deadline:
            with contextlib.suppress(Empty):
                # The kernel's welcome: output arrives from now on.
                await self.iopub_channel.get_msg(timeout=1)
                request = self.kernel_info()
                while (await self.shell_channel.get_msg(timeout=1))["parent_header"].get("msg_id") != request:
                    pass
                return
            if not await self.parent.is_alive():
                break
        raise RuntimeError("the kernel did not become ready")


@functools.cache
def limited_context() -> zmq.asyncio.Context:
    context = zmq.asyncio.Context()
    context.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES)
    context.setsockopt(zmq.RCVHWM, WAITING_MESSAGES)
    context.setsockopt(zmq.LINGER, 0)
    return context


class WarmKernelManager(AsyncKernelManager):
    """A kernel manager whose kernel comes from a warm process."""

    client_factory = LimitedClient

    def __init__(self, address: str, limits: Limits, files: str | None = None, **kwargs):
        super().__init__(**kwargs)
        self.transport = "ipc"
        spec = KernelSpec(display_name="Python 3", language="python", argv=[])
        self._kernel_spec = spec
        self.provisioner = WarmProvisioner(
            parent=self, kernel_id="warm", kernel_spec=spec, address=address, limits=limits, files=files
        )

    @default("context")
    def _limited_context(self):
        return limited_context()

    def client(self, **kwargs):
        return super().client(**kwargs | {"context": self.context})

    def write_connection_file(self, **kwargs):
        """Nobody else connects."""


class LocalKernelManager(AsyncKernelManager):
    """A kernel manager of ordinary kernels, outside of any sandbox."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.provisioner = OwnProvisioner(parent=self, kernel_id="own", kernel_spec=self.kernel_spec)
