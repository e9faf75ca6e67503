"""The verdict: what the reference observes, whether the learner agrees, and which mistake explains a difference."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch

from autograder.experiment import TEXT, Check, close, encode, load_checks, run_question, seed_of
from autograder.labs import Lab
from autograder.observation import Malformed, Node, compare, parse, parse_outcomes, plain, show
from autograder.wrong_answers import Answer, collect

NOT_WRITTEN = "This exercise is not written yet."


@dataclass
class CheckVerdict:
    """How one check went. `cause` is the sentence of a wrong answer that observes the same, if there is one.

    It is `certain` where that wrong answer observes the same in every check of the question, not only in this one.
    """

    name: str
    rule: str
    passed: bool
    where: str = ""
    problem: str = ""
    returned: str = ""
    expected: str = ""
    cause: str = ""
    certain: bool = False


@dataclass
class Verdict:
    """How one question went: points as a plain float, and each check."""

    question: str
    points: float
    max_points: float
    note: str = ""
    checks: list[CheckVerdict] = field(default_factory=list)

    @property
    def full(self) -> bool:
        return self.points == self.max_points

    @property
    def causes(self) -> list[str]:
        """The likely mistakes, each once, in the order of the checks that show them."""
        return list(dict.fromkeys(item.cause for item in self.checks if item.cause))

    @property
    def certain(self) -> bool:
        """Whether the cause explains every check: "likely", where a cause of some of them is "possible"."""
        return any(item.certain for item in self.checks)

    def plain(self) -> dict:
        """The verdict as plain data, for a notebook's output or a results file."""
        return asdict(self) | {"causes": self.causes, "certain": self.certain}


class Judge:
    """Judges the observations of one lab under one seed. What the reference observes is computed once and kept."""

    def __init__(self, lab: Lab, seed: int):
        self.lab, self.seed = lab, seed
        self.checks: dict[str, list[Check]] = load_checks(lab.checks_source, lab.stem)
        self.wrong, self.right = collect(lab.answers)
        self._outcomes: dict[Callable, dict[str, dict]] = {}

    def reference(self, question: str) -> dict[str, dict]:
        """What the reference observes: {check name: {"observed": Node}}.

        Raises:
            RuntimeError: if the reference itself fails a check's experiment: the check is wrong, not the learner.
        """
        outcomes = self.outcomes(question, getattr(self.lab.solution, question))
        for name, outcome in outcomes.items():
            if "error" in outcome:
                raise RuntimeError(f"the reference fails the check {name} of {question}: {outcome['error']}")
        return outcomes

    def outcomes(self, question: str, function: Callable) -> dict[str, dict]:
        """What any trusted function observes as an answer to `question`, computed in this process and kept."""
        if function not in self._outcomes:
            raw = run_question(self.checks[question], {question: function}, self.seed)
            self._outcomes[function] = self._measured(
                question,
                {
                    name: outcome if "error" in outcome else {"observed": parse(outcome["observed"])}
                    for name, outcome in raw.items()
                },
            )
        return self._outcomes[function]

    def _measured(self, question: str, outcomes: dict[str, dict]) -> dict[str, dict]:
        """The outcomes, with what a check measures in the place of what its experiment handed out."""
        measured = dict(outcomes)
        for item in self.checks[question]:
            outcome = outcomes.get(item.name, {})
            if item.measure is None or "observed" not in outcome:
                continue
            rng = torch.Generator().manual_seed(seed_of(item, self.seed))
            try:
                found = item.measure(plain(outcome["observed"]), rng)
            except Exception as error:  # whatever a learner may have handed out
                message = f"{type(error).__name__}: {error}"
                measured[item.name] = {
                    "error": {"type": "Unmeasurable", "message": message[:TEXT], "line": ""}
                }
            else:
                measured[item.name] = {"observed": parse(encode(found))}
        return measured

    def judge_text(self, question: str, max_points: float, text: object) -> Verdict:
        """Judge the JSON text that came out of the learner's process; text that is no observation earns nothing."""
        try:
            return self.judge(question, max_points, self._measured(question, parse_outcomes(text)))
        except Malformed as error:
            return Verdict(question, 0.0, max_points, f"The checks gave no usable result: {error}.")

    def judge_answer(self, answer: Answer) -> Verdict:
        """Judge an answer of the bank, out of one point, as if a learner had handed it in."""
        return self.judge(answer.question, 1.0, self.outcomes(answer.question, answer.function))

    def judge(self, question: str, max_points: float, outcomes: dict[str, dict]) -> Verdict:
        """Compare measured outcomes with the reference's, check by check, and name the likely mistakes."""
        reference, verdicts = self.reference(question), []
        for item in self.checks[question]:
            verdicts.append(self._verdict(item, outcomes.get(item.name), reference[item.name]["observed"]))
        weights = [item.weight for item in self.checks[question]]
        earned = sum(weight for weight, verdict in zip(weights, verdicts) if verdict.passed)
        points = float(max_points if earned == sum(weights) else round(max_points * earned / sum(weights), 2))
        result = Verdict(question, points, max_points, "", verdicts)
        errors = {outcome.get("error", {}).get("type") for outcome in outcomes.values()}
        if errors == {"NotImplementedError"}:
            result.note = NOT_WRITTEN
        elif not result.full:
            self._diagnose(result, outcomes)
        return result

    def _verdict(self, item: Check, outcome: dict | None, expected: Node) -> CheckVerdict:
        if outcome is None:
            return CheckVerdict(
                item.name, item.rule, False, problem="it was not run: an earlier check was stopped"
            )
        if "error" in outcome:
            error = outcome["error"]
            if error["type"] == "Unmeasurable":
                return CheckVerdict(
                    item.name, item.rule, False, problem="what came back cannot be measured",
                    returned=error["message"], expected=show(expected),
                )  # fmt: skip
            if error["type"] == "TimeLimit":
                return CheckVerdict(
                    item.name, item.rule, False, problem="it was stopped at the time limit: does it ever end?"
                )
            line = f", at: {error['line']}" if error["line"] else ""
            return CheckVerdict(
                item.name, item.rule, False, problem=f"it raised {error['type']}{line}",
                returned=f"{error['type']}: {error['message']}", expected=show(expected),
            )  # fmt: skip
        found = compare(outcome["observed"], expected, item.tolerance)
        if found is None:
            return CheckVerdict(item.name, item.rule, True)
        return CheckVerdict(
            item.name, item.rule, False, found.path, found.problem, found.returned, found.expected
        )

    def _diagnose(self, result: Verdict, outcomes: dict[str, dict]) -> None:
        """Give each failed check the sentence of the wrong answer that explains most failed checks.

        A wrong answer whose observations agree in every check comes first; after it, those that agree in the most
        failed checks. Two mistakes in one answer are so told apart, where each shows in a check of its own.
        """
        failed = {item.name: item for item in result.checks if not item.passed and item.name in outcomes}
        bank = [answer for answer in self.wrong if answer.question == result.question]
        agreed = {answer: self._agreement(answer, outcomes) for answer in bank}
        for answer in bank:
            if len(agreed[answer]) == len(result.checks):
                for item in failed.values():
                    item.cause, item.certain = answer.sentence, True
                return
        failed = {name: item for name, item in failed.items() if "observed" in outcomes[name]}
        while failed and bank:
            best = max(bank, key=lambda answer: len(agreed[answer] & failed.keys()))
            explained = agreed[best] & failed.keys()
            if not explained:
                return
            for name in explained:
                failed.pop(name).cause = best.sentence

    def _agreement(self, answer: Answer, outcomes: dict[str, dict]) -> set[str]:
        """The checks in which a wrong answer observes what the learner's observed."""
        theirs = self.outcomes(answer.question, answer.function)
        return {name for name in outcomes.keys() & theirs.keys() if agree(outcomes[name], theirs[name])}


def agree(one: dict, other: dict) -> bool:
    """Say whether two outcomes are the same: the same error, or observations that differ by rounding at most."""
    if "error" in one or "error" in other:
        return "error" in one and "error" in other and one["error"]["type"] == other["error"]["type"]
    return compare(one["observed"], other["observed"], close()) is None
