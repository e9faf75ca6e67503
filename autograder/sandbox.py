"""Shut a forked process into a sandbox: what an untrusted notebook can see, reach and use up.

The process gets user, process, mount, network, IPC and host-name spaces of its own (namespaces(7)); a root folder
that holds read-only views of a few folders and one small writable one; no capability, no way to a new one; limits on
what it uses; and a filter of system calls as a second layer, where libseccomp is installed. It works for root and for
an ordinary user, wherever the kernel lets them make a user namespace.

Everything happens between a fork and the first line of untrusted code, in a process with one thread.
"""

import ctypes
import errno
import os
import resource
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

LEARNER = 1000  # the user and group that the learner's code believes to be
FIRST_HOST_ID = (
    0x7000_0000  # what LEARNER is outside, where the grader is root: one unused id for each process
)
WORK = "/tmp/work"  # the working folder of the learner's code
HOME = "/tmp/home"

_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC = 0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000
_NEWUSER, _NEWPID, _NEWNET = 0x1000_0000, 0x2000_0000, 0x4000_0000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT = 1, 2, 4, 8, 32
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x4_0000
_MNT_DETACH, _AT_FDCWD, _AT_RECURSIVE, _SYS_MOUNT_SETATTR = 2, -100, 0x8000, 442
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38

# What the filter refuses: new namespaces and mounts, other processes' memory, kernel keys, programs in the kernel,
# and memory that no limit counts.
_REFUSED = (
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen",
    "fsmount", "fsconfig", "fspick", "mount_setattr", "ptrace", "process_vm_readv", "process_vm_writev",
    "process_madvise", "kcmp", "pidfd_getfd", "add_key", "request_key", "keyctl", "bpf", "userfaultfd",
    "perf_event_open", "io_uring_setup", "io_uring_enter", "io_uring_register", "memfd_create",
    "memfd_secret", "shmget", "shmat", "msgget", "semget", "mq_open", "init_module", "finit_module",
    "kexec_load", "reboot", "swapon", "swapoff", "acct", "syslog", "quotactl", "name_to_handle_at",
    "open_by_handle_at", "fanotify_init", "lookup_dcookie", "personality", "vhangup", "iopl", "ioperm",
)  # fmt: skip


class SandboxError(Exception):
    """The sandbox cannot be made here; the message says what to do, in one sentence."""


@dataclass(frozen=True)
class Limits:
    """What one submission may use up. Bytes and seconds; `memory`, `cpu_seconds` and `processes` count all processes.

    `cell_seconds` stops one cell, and the submission goes on; the others end its kernel. `file_bytes` and
    `disk_bytes` (of one file; of all of them) fail the write, `processes` fails the fork.
    """

    cell_seconds: int = 30
    cpu_seconds: int = 180
    run_seconds: int = 600
    memory: int = 2 << 30
    processes: int = 64
    file_bytes: int = 64 << 20
    disk_bytes: int = 256 << 20
    output_bytes: int = 10 << 20

    def plain(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True)
class View:
    """What can be seen inside: `shown` folders and files, read-only, at their own paths; nothing of `hidden`."""

    shown: tuple[str, ...]
    hidden: tuple[str, ...] = ()


# --- from outside: a user namespace, and the first process of a process namespace --------------------------------


def enter_user_namespace() -> None:
    """Put this process into a new user namespace, and its next child into a new process namespace.

    Raises:
        SandboxError: where the system does not let this user make one.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:  # 0 builds the root folder and is given up; LEARNER is an id that owns nothing outside
        host = FIRST_HOST_ID + os.getpid()
        maps = (f"0 0 1\n{LEARNER} {host} 1\n", f"0 0 1\n{LEARNER} {host} 1\n")
    else:
        maps = (f"{LEARNER} {uid} 1\n", f"{LEARNER} {gid} 1\n")
    # Ids of two kinds can only be mapped from outside, so a helper waits there.
    made, make = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(make)
        try:
            os.read(made, 1)
            _write_maps(os.getppid(), *maps)
            os._exit(0)
        except BaseException:
            os._exit(1)
    os.close(made)
    try:
        _call("unshare", _NEWUSER | _NEWPID)
    except OSError as error:
        raise SandboxError(_refusal(error)) from None
    finally:
        os.close(make)
        failed = os.waitpid(helper, 0)[1]
    if failed:
        raise SandboxError(_refusal("the ids could not be mapped"))


def _write_maps(pid: int, uid_map: str, gid_map: str) -> None:
    folder = Path(f"/proc/{pid}")
    if os.geteuid() != 0:
        (folder / "setgroups").write_text("deny")
    (folder / "uid_map").write_text(uid_map)
    (folder / "gid_map").write_text(gid_map)


def _refusal(problem: object) -> str:
    return (
        f"This system does not let the grader make a sandbox ({problem}): allow user namespaces (sysctl "
        "user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns; "
        "in a container, its security profile), or grade on a Linux machine that allows them"
    )


# --- from inside -------------------------------------------------------------------------------------------------


def enter(view: View, limits: Limits, files: str | None = None) -> list[str]:
    """Shut this process in: it must be the first one of its process namespace, and have one thread.

    Args:
        view: what it will see.
        limits: what it and its children may use up, as far as the kernel itself can hold them to it.
        files: a folder whose regular files are copied into the working folder; None for an empty one.

    Returns:
        The layers that hold it: "namespaces", "limits", and "seccomp" where it is there.

    Raises:
        SandboxError: where one of the steps is refused.
    """
    try:
        _call("unshare", _NEWNS | _NEWIPC | _NEWUTS | _NEWNET | _NEWCGROUP)
        socket.sethostname("learner")
        _leave_keyring()
        _loopback_up()
        _build_root(view, limits, files)
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
        _give_up_privileges()
    except OSError as error:
        raise SandboxError(_refusal(error)) from None
    _set_limits(limits)
    return ["namespaces", "limits", *(["seccomp"] if _filter_system_calls() else [])]


def _build_root(view: View, limits: Limits, files: str | None) -> None:
    """Make a small file system the root: views of what is shown, /proc and /dev of its own, one writable /tmp."""
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    base = "/tmp"
    _mount("tmpfs", base, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=4m,nr_inodes=4096")
    Path(base, "old").mkdir()
    os.chdir(base)
    _call("pivot_root", b".", b"old")
    os.chdir("/")

    for name in ("proc", "dev", "tmp"):
        Path("/", name).mkdir()
    _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    for name in ("null", "zero", "full", "random", "urandom"):
        Path("/dev", name).touch()
        _mount(f"/old/dev/{name}", f"/dev/{name}", "", _MS_BIND)
    Path("/dev/fd").symlink_to("/proc/self/fd")
    Path("/dev/shm").mkdir()
    _mount(
        "tmpfs",
        "/tmp",
        "tmpfs",
        _MS_NOSUID | _MS_NODEV,
        f"mode=1777,size={limits.disk_bytes},nr_inodes=20000",
    )
    for folder in (HOME, WORK, "/tmp/shm"):
        Path(folder).mkdir()
        os.chown(folder, LEARNER, LEARNER)
    _mount("/tmp/shm", "/dev/shm", "", _MS_BIND)
    if files:
        with suppress(OSError):  # what does not fit into the learner's own limits is not there
            _copy_files(Path("/old" + files), Path(WORK), limits)

    for name in ("usr", "bin", "sbin", "lib", "lib32", "lib64"):
        source = Path("/old", name)
        if source.is_symlink():
            Path("/", name).symlink_to(source.readlink())
        elif source.is_dir():
            _show(f"/{name}")
    for path in ("/etc/ld.so.cache", "/etc/fonts", "/etc/localtime", *sorted(view.shown, key=len)):
        _show(path)
    for path in view.hidden:
        if Path(path).is_dir():
            _mount("tmpfs", path, "tmpfs", _MS_RDONLY, "size=4k,nr_inodes=2")
    Path("/etc/passwd").write_text(f"learner:x:{LEARNER}:{LEARNER}::{HOME}:/bin/false\n")
    Path("/etc/group").write_text(f"learner:x:{LEARNER}:\n")
    Path("/etc/hosts").write_text("127.0.0.1 localhost\n")

    _call("umount2", b"/old", _MNT_DETACH)
    Path("/old").rmdir()
    _mount("none", "/", "", _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)
    os.chdir(WORK)


def _show(path: str) -> None:
    """Let a file or folder of the old root be seen at its own path, read-only."""
    source = Path("/old" + path)
    if not source.exists():
        return
    target = Path(path)
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    elif not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount(str(source), path, "", _MS_BIND | _MS_REC)
    read_only = struct.pack("QQQQ", _MS_RDONLY | _MS_NOSUID | _MS_NODEV, 0, 0, 0)
    _call("syscall", _SYS_MOUNT_SETATTR, _AT_FDCWD, path.encode(), _AT_RECURSIVE, read_only, len(read_only))


def _copy_files(source: Path, target: Path, limits: Limits) -> None:
    """Copy the regular files below a folder; links and everything else is left behind."""
    for folder, _, names in os.walk(source):
        inside = target / Path(folder).relative_to(source)
        inside.mkdir(exist_ok=True)
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= limits.file_bytes:
                shutil.copyfile(path, inside / name, follow_symlinks=False)
        for child in inside.iterdir():
            os.chown(child, LEARNER, LEARNER)


def _loopback_up() -> None:
    """Bring up the loopback device of the empty network: the kernel talks to its own children over it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        import fcntl

        fcntl.ioctl(sock, 0x8914, struct.pack("16sH14s", b"lo", 1, b""))  # SIOCSIFFLAGS, IFF_UP


def _leave_keyring() -> None:
    """Get an empty session keyring: the grader's may hold secrets, and goes on to its children."""
    number = {"x86_64": 250, "aarch64": 219}.get(os.uname().machine)
    if number:
        with suppress(OSError):  # a kernel without keyrings
            _call("syscall", number, 1, 0)  # KEYCTL_JOIN_SESSION_KEYRING


def _give_up_privileges() -> None:
    for capability in range(64):
        try:
            _call("prctl", _PR_CAPBSET_DROP, capability, 0, 0, 0)
        except OSError as error:
            if error.errno == errno.EINVAL:  # past the last one
                break
            raise
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(LEARNER, LEARNER, LEARNER)
        os.setresuid(LEARNER, LEARNER, LEARNER)
    header, nothing = struct.pack("Ii", 0x2008_0522, 0), bytes(24)
    _call("capset", header, nothing)
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("prctl", _PR_SET_DUMPABLE, 1, 0, 0, 0)  # its own /proc/self stays readable to it
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _set_limits(limits: Limits) -> None:
    def limit(what: int, value: int) -> None:
        resource.setrlimit(what, (value, value))

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    # One process that asks for too much gets a MemoryError, before all of them together are ended.
    limit(resource.RLIMIT_AS, pages * resource.getpagesize() + limits.memory * 3 // 4)
    # The monitor counts all processes, and ends them before.
    limit(resource.RLIMIT_CPU, limits.cpu_seconds + 1)
    limit(resource.RLIMIT_NPROC, limits.processes)
    limit(resource.RLIMIT_FSIZE, limits.file_bytes)
    limit(resource.RLIMIT_NOFILE, 160)  # what waits in a socket is counted nowhere
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_MEMLOCK, 0)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing too much raises OSError


def _filter_system_calls() -> bool:
    """Refuse system calls that no notebook needs. Returns False where libseccomp is not installed."""
    seccomp = sys.modules.get("pyseccomp")
    if seccomp is None:
        return False
    filtered = seccomp.SyscallFilter(seccomp.ALLOW)
    for name in _REFUSED:
        try:
            filtered.add_rule(seccomp.ERRNO(errno.EPERM), name)
        except (OSError, ValueError, RuntimeError):
            continue  # this machine's kernel has no such call
    for flag in (_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET):
        filtered.add_rule(seccomp.ERRNO(errno.EPERM), "clone", seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF, 32, 33):  # 32 and 33 are the FORCE variants
        equal = (seccomp.Arg(1, seccomp.EQ, socket.SOL_SOCKET), seccomp.Arg(2, seccomp.EQ, option))
        filtered.add_rule(seccomp.ERRNO(errno.EPERM), "setsockopt", *equal)
    filtered.add_rule(seccomp.ERRNO(errno.EPERM), "fcntl", seccomp.Arg(1, seccomp.EQ, 1031))  # F_SETPIPE_SZ
    # The flags of clone3 cannot be seen; without it the C library uses clone.
    filtered.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    filtered.load()
    return True


def seccomp_available() -> bool:
    """Import the filter's library, before the sandbox hides it. Returns False where libseccomp is not installed."""
    try:
        import pyseccomp  # noqa: F401
    except (ImportError, RuntimeError, OSError):
        return False
    return True


# --- what the processes of a sandbox use, seen from outside ------------------------------------------------------


def usage(first: int) -> tuple[int, int, float]:
    """(processes, resident bytes, CPU seconds) of a process and all below it; what ends meanwhile is left out."""
    processes, resident, ticks = 0, 0, 0
    waiting = [first]
    while waiting:
        pid = waiting.pop()
        try:
            waiting += _children(pid)
            fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        except OSError:
            continue
        processes += 1
        ticks += sum(
            map(int, fields[11:15])
        )  # user and system time, its own and that of children it waited for
        resident += int(fields[21]) * resource.getpagesize()
    return processes, resident, ticks / os.sysconf("SC_CLK_TCK")


def proportional(first: int) -> int:
    """Resident bytes of a process and all below it, where a page that n processes share counts 1/n in each."""
    total, waiting = 0, [first]
    while waiting:
        pid = waiting.pop()
        try:
            waiting += _children(pid)
            try:
                lines = _read(f"/proc/{pid}/smaps_rollup").splitlines()
                total += next(int(line.split()[1]) * 1024 for line in lines if line.startswith(b"Pss:"))
            except (OSError, StopIteration):  # it hides itself: all of it counts
                total += int(_read(f"/proc/{pid}/statm").split()[1]) * resource.getpagesize()
        except OSError:
            continue
    return total


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in _read(f"{task}/children").split()]


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1 << 16)
    finally:
        os.close(descriptor)


# --- system calls ------------------------------------------------------------------------------------------------

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _call(name: str, *arguments: object) -> int:
    result = getattr(_libc, name)(*(_as_long(argument) for argument in arguments))
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def _as_long(argument: object) -> object:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    _call("mount", source.encode(), target.encode(), kind.encode(), flags, data.encode())


def overlapping(paths: Iterable[str]) -> tuple[str, ...]:
    """The paths that are not inside another one of them, as real absolute paths."""
    real = sorted({os.path.realpath(path) for path in paths})
    return tuple(
        path for path in real if not any(path.startswith(other + "/") for other in real if other != path)
    )
