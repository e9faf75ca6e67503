"""/proc is searched for other processes, for the kernel's secrets, and for what the machine runs."""

from autograder.tests.attacks.attack import Attack

FIRST = """
import os, socket

processes = [int(name) for name in os.listdir("/proc") if name.isdigit()]
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
readable = []
for name in ("/proc/kcore", "/proc/kmsg", "/proc/kpagecount", "/proc/1/mem2", "/proc/sysrq-trigger", "/proc/timer_list",
             "/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/tty", "/dev/ptmx", "/sys/kernel", "/sys/fs/cgroup/cgroup.procs"):
    try:
        readable.append((name, os.read(os.open(name, os.O_RDONLY | os.O_NONBLOCK), 10)))
    except OSError:
        pass
writable = [name for name in ("/proc/sys/kernel/core_pattern", "/proc/sys/user/max_user_namespaces", "/proc/sysrq-trigger",
                              "/proc/self/oom_score_adj", "/proc/sys/kernel/hostname", "/proc/1/root/etc/passwd",
                              "/etc/passwd", "/etc/hosts", "/dev/full2", "/usr/x") if name != "/proc/self/oom_score_adj"
            and os.access(name, os.W_OK) and not open(name, "r+").close()]
report(processes=processes, writable=writable, readable=[name for name, _ in readable], host=socket.gethostname(),
       capabilities=[int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
       privileges=int(status["NoNewPrivs"]), uid=os.getuid(), groups=os.getgroups())
"""
ATTACKS = [Attack("proc", first=FIRST, wild=True)]


def test_only_the_own_process_is_there(outcome):
    outcome.held()
    found = outcome.reported
    assert found["processes"] == [1]
    assert found["writable"] == [] and found["readable"] == []
    assert found["host"] == "learner" and found["uid"] == 1000
    assert found["capabilities"] == [0] * 5 and found["privileges"] == 1
