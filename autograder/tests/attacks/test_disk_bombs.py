"""The disk is filled: /tmp, the working folder, shared memory, with large files and with many."""

from autograder.tests.attacks.attack import Attack

FIRST = """
import os

written, files, refused = 0, 0, {}
for folder in ("/tmp", ".", "/dev/shm", "/var/tmp", "/", "/dev", "/proc", "/usr", PLACES.home):
    try:
        for number in range(12):
            with open(f"{folder}/left-over-{number}", "wb", buffering=0) as file:
                while True:
                    written += file.write(bytes(1 << 20)) or 1 / 0
    except (OSError, ZeroDivisionError) as error:
        refused[folder] = type(error).__name__
os.system("rm -f /tmp/left-over-* /dev/shm/left-over-* ./left-over-*")
try:
    for number in range(100_000):
        open(f"/tmp/left-over-{number}", "w").close()
        files += 1
except OSError as error:
    refused["many"] = type(error).__name__
os.system("rm -rf /tmp/left-over-*; find /tmp -name 'left-over-*' -delete")
report(written=written, files=files, refused=len(refused))
"""
SPARSE = """
import os

sizes = []
for size in (1 << 30, 1 << 40):
    try:
        descriptor = os.open("left-over-sparse", os.O_CREAT | os.O_RDWR)
        os.ftruncate(descriptor, size)
        sizes.append(os.fstat(descriptor).st_size)
    except OSError:
        pass
report(sizes=sizes)
"""
ATTACKS = [Attack("disk", first=FIRST), Attack("sparse", first=SPARSE)]


def test_the_disk_is_bounded_and_nothing_is_left(outcome):
    outcome.held()
    if outcome.attack.name == "disk":
        assert 0 < outcome.reported["written"] <= 256 << 20
        assert 0 < outcome.reported["files"] < 20_000
    else:
        assert outcome.reported["sizes"] == []
