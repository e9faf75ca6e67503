"""All attacks of a test session are graded in one run, with an honest neighbour beside each of them."""

import ctypes
import hashlib
import json
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import nbformat
import pytest

from autograder import batch
from autograder.course import Course
from autograder.gradebook import Ledger
from autograder.labs import ROOT, Lab
from autograder.outputs import plain_text
from autograder.report import page_name, write_report
from autograder.result import Result
from autograder.submission import solve
from autograder.tests.attacks.attack import POINTS, Attack, Outcome, Places

FOLDER = Path(__file__).parent
LIMITS = {"cell_seconds": 4, "memory": 1 << 30, "run_seconds": 60, "cpu_seconds": 40}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.slow)
            if sys.platform != "linux":
                item.add_marker(pytest.mark.skip(reason="the sandbox needs Linux"))


def pytest_generate_tests(metafunc):
    """Run a test that asks for an `outcome` once for each attack of its file; for `unprotected`, each marked so."""
    if "attack" in metafunc.fixturenames:
        attacks = metafunc.module.ATTACKS
        if "unprotected" in metafunc.fixturenames:
            attacks = [attack for attack in attacks if attack.unprotected]
        metafunc.parametrize("attack", attacks, ids=[attack.name for attack in attacks])


@pytest.fixture
def outcome(attack: Attack, sandboxed: dict[str, Outcome]) -> Outcome:
    """What the attack got in the sandbox."""
    return sandboxed[attack.name]


@pytest.fixture
def unprotected(attack: Attack, without_sandbox: dict[str, Outcome]) -> Outcome:
    """What the same attack got with --isolation none: there it must succeed, which shows that it attacks at all."""
    return without_sandbox[attack.name]


@pytest.fixture(scope="session")
def sandboxed(request, lab, tmp_path_factory) -> Iterator[dict[str, Outcome]]:
    with playground(lab, tmp_path_factory.mktemp("attacked")) as (course, places, token):
        yield grade(course, lab, places, token, attacks_of(request, "outcome"), "sandbox")


@pytest.fixture(scope="session")
def without_sandbox(request, lab, tmp_path_factory) -> Iterator[dict[str, Outcome]]:
    folder = tmp_path_factory.mktemp("unprotected")
    with playground(lab, folder, real=False) as (course, places, token):
        yield grade(course, lab, places, token, attacks_of(request, "unprotected"), "none")


def attacks_of(request, fixture: str) -> list[Attack]:
    """The attacks of all tests of this session that ask for a fixture, each once."""
    attacks = {}
    for item in request.session.items:
        if fixture in getattr(item, "fixturenames", ()) and "attack" in item.callspec.params:
            attack = item.callspec.params["attack"]
            assert attacks.setdefault(attack.name, attack) is attack, f"two attacks are called {attack.name}"
    return list(attacks.values())


@contextmanager
def playground(lab: Lab, folder: Path, real: bool = True) -> Iterator[tuple[Course, Places, str]]:
    """A course with canaries and a token that nobody may learn.

    Args:
        real: whether the attackers are told of the real data and packages, or of folders that they may spoil.
    """
    token = f"SECRET-{os.urandom(16).hex()}"
    course = Course(folder / "course")
    course.prepare(lab)
    (course.root / "secret.txt").write_text(token)
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id_ed25519").write_text(token)
    (home / ".bashrc").write_text("# a canary\n")
    data, packages = ROOT / "data", Path(os.__file__).parent / "site-packages"
    if sys.prefix != sys.base_prefix:
        packages = Path(next(path for path in sys.path if path.startswith(sys.prefix) and "packages" in path))
    if not real:
        data, packages = folder / "data", folder / "packages"
        for place in (data, packages):
            place.mkdir()
            (place / "canary").write_text("a canary")
    with ExitStack() as stack:
        tmp, shm = (stack.enter_context(canary(place)) for place in ("/tmp", "/dev/shm"))
        port, abstract = stack.enter_context(listeners())
        stack.enter_context(environment("PRUNING_COURSE_PASSWORD", token))
        yield course, Places(
            course=str(course.root), victim=str(course.folder("submitted", lab, "victim")), home=str(home),
            tmp=tmp, shm=shm, data=str(data), packages=str(packages), repository=str(ROOT),
            grader=os.getpid(), port=port, abstract=abstract,
        ), token  # fmt: skip


@contextmanager
def canary(folder: str) -> Iterator[str]:
    with tempfile.NamedTemporaryFile("w", prefix="canary-", dir=folder, delete=False) as file:
        file.write("a canary")
    yield file.name
    Path(file.name).unlink(missing_ok=True)


@contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    yield
    del os.environ[name]
    if before:
        os.environ[name] = before


@contextmanager
def listeners() -> Iterator[tuple[int, str]]:
    """Someone who listens on the host's loopback device, and on an abstract socket; what is said is not heard."""
    name = f"pruning-course-{os.getpid()}-{os.urandom(4).hex()}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0{name}")
        abstract.listen()
        yield server.getsockname()[1], name


def grade(course: Course, lab: Lab, places: Places, token: str, attacks: list[Attack],
          isolation: str) -> dict[str, Outcome]:  # fmt: skip
    """Grade each attack with a neighbour before it and one after it, and look at what became of everything."""
    released = nbformat.read(course.notebook("release", lab), as_version=4)
    solved = solve(released, lab, list(POINTS))
    honest = nbformat.writes(solved).encode()
    submit(course, lab, "victim", honest, {"secret.txt": token.encode()})
    order = ["victim"]
    for number, attack in enumerate(attacks):
        data = json.dumps(attack.notebook(solved, places)).encode()
        submit(course, lab, attack.id, attack.file(data) if attack.file else data, attack.files)
        if attack.place:
            attack.place(course.folder("submitted", lab, attack.id), places)
        submit(course, lab, f"neighbour-{number}", honest, {})
        order += [attack.id, f"neighbour-{number}"]
    before = state(places)
    limits = LIMITS if isolation == "sandbox" else {}
    options = batch.Options(limits=limits, jobs=2, isolation=isolation)
    key = session_key(token)
    try:
        graded = list(batch.grade(course, lab, order, options))
    finally:
        key()
    by_student = {result.student: result for result in graded}
    with Ledger(course.db_url) as ledger:
        recorded = {result.student: result for result in ledger.results(lab.stem)}
    write_report(lab, list(recorded.values()), course.root / "report")
    harm = [f"{name} has changed" for name, is_ in state(places).items() if is_ != before[name]]
    known = {attack.id for attack in attacks}
    expected = {student for student in order if student not in known}
    harm += [f"{student} is not in the gradebook" for student in expected - recorded.keys()]
    harm += [f"{student} is in the gradebook" for student in recorded.keys() - expected - known]
    neighbours = {student: recorded[student] for student in expected & recorded.keys()}
    outcomes = {}
    for number, attack in enumerate(attacks):
        result = by_student[plain_text(attack.id)]
        before_it = "victim" if number == 0 else f"neighbour-{number - 1}"
        outcomes[attack.name] = Outcome(
            attack, result, *readable(course, lab, attack, result),
            [neighbours[name] for name in (before_it, f"neighbour-{number}") if name in neighbours], token, harm,
        )  # fmt: skip
    return outcomes


def submit(course: Course, lab: Lab, student: str, notebook: bytes, files: dict[str, bytes]) -> None:
    folder = course.folder("submitted", lab, student)
    folder.mkdir(parents=True)
    for name, data in {f"{lab.stem}.ipynb": notebook, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def readable(course: Course, lab: Lab, attack: Attack, result: Result) -> tuple[str, dict | None]:
    """Everything that goes back to a student, as text, and the executed notebook."""
    page = course.root / "report" / "feedback" / page_name(attack.id)
    path = course.notebook("autograded", lab, attack.id)
    parts = [json.dumps(result.plain())]
    parts += [place.read_text(errors="replace") for place in (page, path) if place.is_file()]
    return "\n".join(parts), json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


# --- what must stay as it is -------------------------------------------------------------------------------------


def state(places: Places) -> dict[str, object]:
    """What no submission may change, by name."""
    course = Path(places.course)
    files = [
        course / "secret.txt", course / "nbgrader_config.py", *sorted((course / "release").rglob("*.ipynb")),
        *sorted(Path(places.victim).rglob("*.*")), Path(places.home, ".bashrc"),
        Path(places.home, ".ssh", "id_ed25519"), Path(places.tmp), Path(places.shm),
    ]  # fmt: skip
    return {str(file): digest(file) for file in files} | {
        "the data": {str(path): digest(path) for path in sorted(Path(places.data).rglob("*"))},
        "site-packages": listing(Path(places.packages)),
        "the home": listing(Path(places.home)),
        "the course": sorted({path.name for path in course.iterdir()} - NEW),
        "the leftovers": [str(path) for place in ("/tmp", "/dev/shm") for path in Path(place).glob("*left-over*")],
    }  # fmt: skip


NEW = {"autograded", "report", ".grading"}  # what grading itself makes in a course folder


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"


def listing(folder: Path) -> list[tuple[str, int]]:
    return sorted(
        (entry.name, entry.stat().st_size if entry.is_file() else 0) for entry in os.scandir(folder)
    )


def session_key(token: str):
    """Keep the token in a new keyring of this session, which goes on to the graders. Returns what ends it."""
    numbers = {"x86_64": (248, 250), "aarch64": (217, 219)}.get(os.uname().machine)
    if not numbers:
        return lambda: None
    libc = ctypes.CDLL(None)
    libc.syscall(numbers[1], 1, b"pruning-course")  # KEYCTL_JOIN_SESSION_KEYRING
    libc.syscall(numbers[0], b"user", b"password", token.encode(), len(token), ctypes.c_int(-3))
    return lambda: libc.syscall(numbers[1], 1, 0)
