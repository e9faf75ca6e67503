"""The way out is a system call: new namespaces and mounts, other processes' memory, memory that no limit counts."""

from autograder.tests.attacks.attack import Attack

FIRST = """
import ctypes, os

libc = ctypes.CDLL(None, use_errno=True)
allowed = []


def call(name, *arguments):
    ctypes.set_errno(0)
    if getattr(libc, name)(*arguments) != -1:
        allowed.append(name)


for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x4000000, 0x8000000, 0x10020000):
    call("unshare", flag)
call("mount", b"none", b"/tmp", b"tmpfs", 0, None)
call("mount", b"none", b"/", None, 0x1020, None)
call("umount2", b"/proc", 2)
call("chroot", b"/tmp")
call("sethostname", b"mine", 4)
call("setuid", 0)
call("setgroups", 0, None)
call("mknod", b"/tmp/disk", 0o60600, os.makedev(8, 0))
call("setns", os.open("/proc/1/ns/net", os.O_RDONLY), 0)
call("swapoff", b"/x")
call("klogctl", 3, ctypes.create_string_buffer(100), 100)
child = os.fork()
if child == 0:
    os.execv("/bin/sleep", ["sleep", "60"])
for request in (16, 0x4206):
    call("ptrace", request, child, 0, 0)
for number, name in {310: "process_vm_readv", 319: "memfd_create", 447: "memfd_secret", 29: "shmget", 321: "bpf", 425: "io_uring",
                     323: "userfaultfd", 298: "perf", 304: "open_by_handle_at", 435: "clone3", 428: "open_tree"}.items():
    if os.uname().machine == "x86_64":
        ctypes.set_errno(0)
        if libc.syscall(number, *[ctypes.c_long(0)] * 6) != -1 or ctypes.get_errno() not in (1, 38):
            allowed.append(name)
os.kill(child, 9)
report(allowed=allowed)
"""
ATTACKS = [Attack("calls", first=FIRST, wild=True)]
WITHOUT_FILTER = {  # what namespaces and limits alone leave: of use only within the sandbox
    "ptrace", "process_vm_readv", "memfd_create", "memfd_secret", "shmget", "bpf", "io_uring", "userfaultfd", "perf",
    "open_by_handle_at", "clone3", "open_tree", "unshare",
}  # fmt: skip


def test_none_is_allowed(outcome):
    outcome.held()
    allowed = set(outcome.reported["allowed"])
    assert not allowed - (set() if "seccomp" in outcome.result.layers else WITHOUT_FILTER)
