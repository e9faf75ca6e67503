"""The answer banks: the mistakes people make, each with the sentence that names it, and other right answers.

A bank serves twice. It is the grader's own test: each wrong answer must lose points on its own question, each
other right answer must get them all. And it is the teacher's voice: a learner whose observations are those of
a wrong answer reads its sentence, which tells the cause and not the fix.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Answer:
    """One answer of a bank: `sentence` names the mistake; it is empty for a right answer."""

    question: str
    function: Callable
    sentence: str = ""

    @property
    def name(self) -> str:
        return self.function.__name__


def wrong(question: str, sentence: str):
    """Mark the decorated function as a wrong answer to `question`; `sentence` tells the learner the cause."""

    def mark(function):
        function.answer = Answer(question, function, sentence)
        return function

    return mark


def right(question: str):
    """Mark the decorated function as another right answer to `question`, found by a different method."""

    def mark(function):
        function.answer = Answer(question, function)
        return function

    return mark


def collect(bank: ModuleType) -> tuple[list[Answer], list[Answer]]:
    """Return the wrong and the right answers of a bank, each in the order of the file."""
    answers = [
        item.answer for item in vars(bank).values() if isinstance(getattr(item, "answer", None), Answer)
    ]
    return [answer for answer in answers if answer.sentence], [
        answer for answer in answers if not answer.sentence
    ]
