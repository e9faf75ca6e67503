"""A secret of the grader is looked for: in the environment, the course, other submissions, a home, the keyring, memory."""

from autograder.tests.attacks.attack import SECRET, Attack

FIRST = f"""
import ctypes, glob, os, re, subprocess

PATTERN = {SECRET!r}
"""
# Run without a sandbox too: harmless there.
OWN = """
paths = [f"{PLACES.course}/*", f"{PLACES.victim}/*", f"{PLACES.home}/.ssh/*"]
"""
# For the sandbox only: elsewhere this would read what others are waiting for.
ALL = """
paths = [f"{PLACES.course}/**/*", f"{PLACES.victim}/*", f"{PLACES.home}/.ssh/*", f"/proc/{PLACES.grader}/environ", "/proc/*/environ",
         "/proc/*/cmdline", "/proc/1/task/*/environ", f"/proc/{PLACES.grader}/cwd/*", "/proc/*/fd/*", "/proc/keys", "../*", "../*/*",
         f"/proc/{PLACES.grader}/root{PLACES.course}/*"]
"""
READ = """
texts = [str(dict(os.environ)), str(ctypes.CDLL(None).getenv(b"PRUNING_COURSE_PASSWORD"))]
for path in paths:
    for name in glob.glob(path, recursive=True)[:500]:
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
            texts.append(os.read(descriptor, 1 << 20).decode(errors="replace"))
            os.close(descriptor)
        except OSError:
            pass
texts.append(subprocess.run(f"env; cat {PLACES.course}/secret.txt", shell=True, capture_output=True, text=True).stdout)
report(found=sorted(set(re.findall(PATTERN, "".join(texts)))))
"""
MEMORY = """
found = set()
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
    for line in maps:
        if "rw" in line.split()[1] and "[v" not in line:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            for place in range(start, min(end, start + (64 << 20)), 8 << 20):
                try:
                    memory.seek(place)
                    found |= set(re.findall(PATTERN.encode(), memory.read(min(8 << 20, end - place))))
                except (OSError, ValueError, OverflowError):
                    break
report(memory=[text.decode() for text in found])
"""
KEYS = """
libc, numbers = ctypes.CDLL(None, use_errno=True), {"x86_64": (248, 250), "aarch64": (217, 219)}
add, keyctl = numbers.get(os.uname().machine, (0, 0))
found = []
if add:
    for ring in (-1, -2, -3, -4, -5):
        key = libc.syscall(keyctl, 10, ctypes.c_int(ring), b"user", b"password", 0)
        text = ctypes.create_string_buffer(100)
        if key > 0 and libc.syscall(keyctl, 11, key, text, 100) > 0:
            found.append(text.value.decode())
report(keys=found, added=add and libc.syscall(add, b"user", b"left-over", b"x", 1, ctypes.c_int(-4)) > 0)
"""
ATTACKS = [
    Attack("secrets", first=FIRST + OWN + READ, unprotected=True),
    Attack("secrets-proc", first=FIRST + ALL + READ),
    Attack("memory", first=FIRST + MEMORY, wild=True),  # it may take longer than a cell may
    Attack("keyring", first=FIRST + KEYS),
]


def test_no_secret_is_found(outcome):
    outcome.held()
    for found in outcome.reported.values():
        assert not found


def test_without_a_sandbox_it_is_found(unprotected):
    assert unprotected.token in unprotected.reported["found"]
