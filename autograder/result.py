"""What is known of one graded submission: plain data, from the worker that graded it to the report."""

from dataclasses import asdict, dataclass, field

RESOURCE = "pruning_course_result"  # where nbgrader's preprocessors hand a Result on


@dataclass
class Stop:
    """One event that ended the learner's code early: a limit, or a death of the kernel.

    Attributes:
        cell: the number of the notebook cell, counted from 1; 0 where it cannot be said.
        limit: "memory", "CPU time", "cell time", "run time", "output", or "" where the kernel died by itself.
        text: one sentence for the learner: what happened, in which cell, against which limit.
    """

    cell: int
    limit: str
    text: str


@dataclass
class Result:
    """How one submission was graded.

    Attributes:
        student, lab: whose, and the lab's stem.
        seed: of the hidden checks.
        content: SHA-256 of the submitted files, as hexadecimal; "" where there is no file.
        version: of the lab: a SHA-256 over everything that decides a score (labs.Lab.version).
        problem: why it could not be graded at all, one sentence; "" where it was graded.
        scores: the machine's score of each grade cell, {grade_id: points}; None where a person must grade.
        unanswered: the grade_ids of answer cells that were handed in as they were given out.
        verdicts: judge.Verdict.plain of each question, in the order of the notebook.
        stops: limits hit and deaths of the kernel, in their order.
        isolation: "sandbox" or "none".
        layers: what the sandbox was made of, such as ["namespaces", "limits", "seccomp"].
        seconds: wall time from the submitted text to the verdicts.
        phases: the parts of `seconds`, {"read" | "start" | "cells" | "checks" | "verdict" | "stop": seconds}.
        memory: the most memory that the learner's processes held together, in bytes, as far as it was sampled.
        versions: of Python and torch.
        recorded: whether it is in the gradebook.
        score, max_score, needs_manual_grade: from the gradebook, so manual grades count; filled in when it is read.
    """

    student: str
    lab: str
    seed: int
    content: str = ""
    version: str = ""
    problem: str = ""
    scores: dict[str, float | None] = field(default_factory=dict)
    unanswered: list[str] = field(default_factory=list)
    verdicts: list[dict] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    isolation: str = "sandbox"
    layers: list[str] = field(default_factory=list)
    seconds: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)
    memory: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    score: float = 0.0
    max_score: float = 0.0
    needs_manual_grade: bool = False
    recorded: bool = True

    def plain(self) -> dict:
        """As plain data, without what the gradebook itself knows."""
        record = asdict(self)
        for name in ("score", "max_score", "needs_manual_grade", "recorded"):
            del record[name]
        return record

    @classmethod
    def from_plain(cls, record: dict) -> "Result":
        """The result that `plain` described."""
        return cls(**record | {"stops": [Stop(**stop) for stop in record["stops"]]})
