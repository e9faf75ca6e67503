"""The verdict: points as plain floats, the likely mistake by name, and nothing that a submission sends can break it."""

import json
from types import SimpleNamespace

import pytest
import torch

from autograder.experiment import observe
from autograder.judge import NOT_WRITTEN, Judge
from autograder.labs import find_lab
from autograder.task import draw_seed
from autograder.wrong_answers import right, wrong

CHECKS = '''
import torch
from autograder.experiment import check, error_of


@check("scale", weight=2)
def values(lab, rng):
    """Every entry is multiplied."""
    return lab.scale(torch.randn(5, generator=rng), 3)


@check("scale")
def dtype(lab, rng):
    """The dtype stays."""
    return lab.scale(torch.randn(2, generator=rng).double(), 1)


@check("scale")
def refuses(lab, rng):
    """A negative factor raises ValueError."""
    return error_of(lambda: lab.scale(torch.zeros(1), -1))
'''


def scale(tensor, factor):
    if factor < 0:
        raise ValueError("factor")
    return tensor * factor


@wrong("scale", "You add the factor.")
def adds(tensor, factor):
    if factor < 0:
        raise ValueError("factor")
    return tensor + factor


@wrong("scale", "You convert to float32.")
def in_float32(tensor, factor):
    if factor < 0:
        raise ValueError("factor")
    return tensor.float() * factor


@wrong("scale", "A negative factor is accepted.")
def unchecked(tensor, factor):
    return tensor * factor


@wrong("scale", "You index behind the end.")
def breaks(tensor, factor):
    return tensor[tensor.numel()] * factor


@right("scale")
def by_repetition(tensor, factor):
    if factor < 0:
        raise ValueError("factor")
    return sum([tensor] * factor, torch.zeros_like(tensor))


def blank(tensor, factor):
    raise NotImplementedError


def made_up_lab(checks=CHECKS, reference=scale):
    """A lab of one question, with its bank, that lives in this file."""
    answers = SimpleNamespace(a=adds, b=in_float32, c=unchecked, d=breaks, e=by_repetition)
    return SimpleNamespace(
        stem="lab99_made_up",
        checks_source=checks,
        solution=SimpleNamespace(scale=reference),
        answers=answers,
    )


def verdict_of(function, points=4.0, seed=7, checks=CHECKS):
    """The whole way: the learner's process observes, the text travels, the judge judges."""
    judge = Judge(made_up_lab(checks), seed)
    text = observe(checks, "lab99_made_up", "scale", {"scale": function}, judge.seed)
    return judge.judge_text("scale", points, text)


def causes(verdict):
    return {item.name: item.cause for item in verdict.checks}


# --- points ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [1, 4, 2.5, 0.1, 0.125, 10 / 3])
@pytest.mark.parametrize("weights", ["1 1 1", "2 1 1", "0.1 0.2 0.7", "0.3 0.3 0.1"])
@pytest.mark.parametrize("function", [scale, by_repetition])
def test_a_right_answer_earns_exactly_all_points(function, points, weights):
    one, two, three = weights.split()
    checks = CHECKS.replace('("scale", weight=2)', f'("scale", weight={one})')
    checks = checks.replace('("scale")', f'("scale", weight={two})', 1).replace(
        '("scale")', f'("scale", weight={three})'
    )
    verdict = verdict_of(function, points, checks=checks)
    assert verdict.points == points and type(verdict.points) is float
    assert verdict.full and verdict.causes == [] and verdict.note == ""


@pytest.mark.parametrize(
    ("function", "points"), [(adds, 1.0), (in_float32, 3.0), (unchecked, 3.0), (breaks, 0.0), (blank, 0.0)]
)
def test_points_are_split_over_the_checks_by_weight(function, points):
    verdict = verdict_of(function)
    assert verdict.points == points and type(verdict.points) is float
    assert not verdict.full


def test_points_are_rounded_to_two_decimals():
    assert verdict_of(unchecked, 3.33).points == 2.5
    assert verdict_of(adds, 3.33).points == 0.83


# --- what the learner reads ------------------------------------------------------------------------------------


def test_a_blank_answer_is_called_not_written_and_nothing_else():
    verdict = verdict_of(blank)
    assert (verdict.points, verdict.note, verdict.causes) == (0.0, NOT_WRITTEN, [])


def test_an_answer_with_one_branch_left_open_is_not_called_blank():
    def half_written(tensor, factor):
        if factor < 0:
            raise ValueError
        if tensor.dtype == torch.float64:
            raise NotImplementedError
        return tensor * factor

    verdict = verdict_of(half_written)
    assert (verdict.points, verdict.note) == (3.0, "")
    assert [item.problem for item in verdict.checks if not item.passed] == ["it raised NotImplementedError"]


def test_a_function_that_is_missing_is_told_so():
    judge = Judge(made_up_lab(), 7)
    verdict = judge.judge_text("scale", 4.0, observe(CHECKS, "lab99_made_up", "scale", {}, 7))
    assert (verdict.points, verdict.note) == (0.0, "")
    assert {item.returned[:32] for item in verdict.checks} == {"NotDefined: scale is not defined"}


@pytest.mark.parametrize("function", [adds, in_float32, unchecked])
def test_one_mistake_is_named_on_each_check_that_it_fails(function):
    verdict = verdict_of(function)
    sentence = function.answer.sentence
    assert verdict.causes == [sentence]
    assert {item.name: item.cause for item in verdict.checks} == {
        item.name: "" if item.passed else sentence for item in verdict.checks
    }


@pytest.mark.parametrize(
    ("function", "certain"), [(scale, False), (adds, True), (lambda t, f: t.float() * f, False)]
)
def test_a_cause_is_certain_where_it_explains_every_check(function, certain):
    verdict = verdict_of(function)
    assert verdict.certain == verdict.plain()["certain"] == certain
    assert {item.certain for item in verdict.checks if item.cause} <= {certain}


def test_a_mistake_that_raises_everywhere_is_named_too():
    verdict = verdict_of(breaks)
    assert set(causes(verdict).values()) == {"You index behind the end."}
    assert {item.problem for item in verdict.checks[:2]} == {"it raised IndexError"}


def test_two_mistakes_in_one_answer_are_both_named_each_where_it_shows():
    def twice_wrong(tensor, factor):
        return tensor.float() * factor

    assert causes(verdict_of(twice_wrong)) == {
        "values": "",
        "dtype": "You convert to float32.",
        "refuses": "A negative factor is accepted.",
    }


def test_an_unknown_mistake_gets_no_sentence_but_the_two_values():
    verdict = verdict_of(lambda tensor, factor: scale(tensor, factor) - 17)
    assert verdict.causes == []
    first = verdict.checks[0]
    assert (first.problem, first.rule) == (
        "5 of its 5 entries differ, the first one at [0]",
        "Every entry is multiplied.",
    )
    assert first.returned.startswith("float32[5]") and first.expected.startswith("float32[5]")
    assert first.returned != first.expected


def test_another_error_than_a_known_mistakes_gets_no_sentence():
    def divides(tensor, factor):
        raise ZeroDivisionError

    two_checks = CHECKS[: CHECKS.rindex("@check")]
    assert verdict_of(breaks, checks=two_checks).causes == ["You index behind the end."]
    assert verdict_of(divides, checks=two_checks).causes == []


def test_a_known_mistake_beside_an_unknown_one_is_named_alone():
    def twice_wrong(tensor, factor):
        return tensor * factor - 17 if factor == 3 else tensor * factor

    assert causes(verdict_of(twice_wrong)) == {
        "values": "",
        "dtype": "",
        "refuses": "A negative factor is accepted.",
    }


def test_two_mistakes_of_a_real_lab_are_both_named():
    def magnitude_mask(weight, sparsity):  # rounds down, and breaks ties from the end
        if not 0 <= sparsity <= 1:
            raise ValueError("sparsity")
        scores = weight.detach().abs().flatten().flip(0)
        mask = torch.ones_like(scores, dtype=torch.bool)
        mask[torch.argsort(scores, stable=True)[: int(sparsity * scores.numel())]] = False
        return mask.flip(0).reshape(weight.shape)

    lab = find_lab("lab03")
    for seed in range(3):
        judge = Judge(lab, seed)
        text = observe(
            lab.checks_source, lab.stem, "magnitude_mask", {"magnitude_mask": magnitude_mask}, seed
        )
        verdict = judge.judge_text("magnitude_mask", 4.0, text)
        sentences = {answer.name: answer.sentence for answer in judge.wrong}
        assert set(verdict.causes) == {sentences["rounds_down"], sentences["ties_from_the_end"]}
        assert causes(verdict)["ties_are_broken_by_position"] == sentences["ties_from_the_end"]


def test_a_verdict_is_plain_data():
    verdict = verdict_of(adds)
    plain = json.loads(json.dumps(verdict.plain()))
    assert (plain["question"], plain["points"], plain["max_points"]) == ("scale", 1.0, 4.0)
    assert plain["causes"] == ["You add the factor."]
    assert [item["passed"] for item in plain["checks"]] == [False, False, True]


# --- what cannot be trusted ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [None, "", "[]", "nonsense", b"{}", '{"values": 1}', '{"values": {"observed": {"kind": "?"}}}']
)
def test_malformed_text_earns_nothing_and_says_why(text):
    verdict = Judge(made_up_lab(), 7).judge_text("scale", 4.0, text)
    assert verdict.points == 0.0 and type(verdict.points) is float
    assert verdict.note.startswith("The checks gave no usable result: ") and verdict.note.endswith(".")


def test_checks_behind_the_time_limit_are_lost_and_those_before_it_count():
    def hangs(tensor, factor):
        if factor == 1:
            raise KeyboardInterrupt
        return scale(tensor, factor)

    verdict = verdict_of(hangs)
    assert verdict.points == 2.0
    assert [item.problem for item in verdict.checks] == [
        "", "it was stopped at the time limit: does it ever end?", "it was not run: an earlier check was stopped",
    ]  # fmt: skip


def test_no_outcome_at_all_earns_nothing():
    verdict = Judge(made_up_lab(), 7).judge_text("scale", 4.0, "{}")
    assert (verdict.points, verdict.note) == (0.0, "")
    assert {item.problem for item in verdict.checks} == {"it was not run: an earlier check was stopped"}


def test_outcomes_of_checks_that_do_not_exist_change_nothing():
    judge = Judge(made_up_lab(), 7)
    text = json.loads(observe(CHECKS, "lab99_made_up", "scale", {"scale": adds}, 7))
    more = text | {"invented": {"observed": {"kind": "none"}}, "other": {"error": {}}}
    assert judge.judge_text("scale", 4.0, json.dumps(more)) == judge.judge_text(
        "scale", 4.0, json.dumps(text)
    )


def test_the_observations_of_another_seed_earn_nothing():
    text = observe(CHECKS, "lab99_made_up", "scale", {"scale": scale}, 8)
    verdict = Judge(made_up_lab(), 7).judge_text("scale", 4.0, text)
    assert [item.passed for item in verdict.checks] == [
        False,
        False,
        True,
    ]  # the third observes no random input


def test_a_reference_that_fails_its_own_check_is_the_graders_fault():
    judge = Judge(made_up_lab(reference=breaks), 7)
    with pytest.raises(RuntimeError, match="the reference fails the check values of scale"):
        judge.judge_text("scale", 4.0, observe(CHECKS, "lab99_made_up", "scale", {"scale": scale}, 7))


# --- seeds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [scale, adds, in_float32, unchecked, breaks, blank])
def test_the_same_seed_gives_the_same_verdict(function):
    assert verdict_of(function, seed=3) == verdict_of(function, seed=3)


def test_another_seed_draws_other_inputs_and_comes_to_the_same_points():
    one, other = verdict_of(adds, seed=3), verdict_of(adds, seed=4)
    assert one.checks[0].expected != other.checks[0].expected
    assert one.points == other.points


def test_what_the_reference_observes_is_computed_once_for_a_whole_class():
    calls = []

    def counted(tensor, factor):
        calls.append(factor)
        return scale(tensor, factor)

    judge = Judge(made_up_lab(reference=counted), 7)
    for function in (scale, adds, unchecked):
        judge.judge_text("scale", 4.0, observe(CHECKS, "lab99_made_up", "scale", {"scale": function}, 7))
    assert calls == [3, 1, -1]


def test_seeds_are_drawn_anew():
    seeds = {draw_seed() for _ in range(20)}
    assert len(seeds) > 15 and all(0 <= seed < 2**31 for seed in seeds)


MEASURED = """
import torch
from autograder.experiment import at_most, check


def problem(rng):
    return torch.randn(20, 3, generator=rng, dtype=torch.float64), torch.randn(20, generator=rng, dtype=torch.float64)


def error(answer, rng):
    inputs, target = problem(rng)
    return ((inputs @ answer - target) ** 2).sum()


@check("fit", tolerance=at_most(1e-6), measure=error)
def small(lab, rng):
    \"\"\"The squared error is as small as it can be.\"\"\"
    return lab.fit(*problem(rng))
"""


def fit(inputs, target):
    return torch.linalg.lstsq(inputs, target).solution


@wrong("fit", "You return zeros.")
def zeros(inputs, target):
    return torch.zeros(inputs.shape[1], dtype=inputs.dtype)


def fit_lab():
    return SimpleNamespace(
        stem="lab99_fit",
        checks_source=MEASURED,
        solution=SimpleNamespace(fit=fit),
        answers=SimpleNamespace(zeros=zeros),
    )


def test_a_measured_answer_is_right_however_it_was_found():
    by_normal_equations = lambda x, y: torch.linalg.solve(x.T @ x, x.T @ y)
    text = observe(MEASURED, "lab99_fit", "fit", {"fit": by_normal_equations}, 5)
    assert Judge(fit_lab(), 5).judge_text("fit", 2.0, text).points == 2


def test_a_measured_answer_that_is_wrong_is_named():
    text = observe(MEASURED, "lab99_fit", "fit", {"fit": zeros}, 5)
    verdict = Judge(fit_lab(), 5).judge_text("fit", 2.0, text)
    assert verdict.points == 0 and verdict.causes == ["You return zeros."]


@pytest.mark.parametrize("claim", [-1e9, 0.0, "0", [0.0], torch.zeros(7, dtype=torch.float64)])
def test_an_error_that_is_claimed_and_not_handed_out_as_an_answer_earns_nothing(claim):
    text = observe(MEASURED, "lab99_fit", "fit", {"fit": lambda x, y: claim}, 5)
    verdict = Judge(fit_lab(), 5).judge_text("fit", 2.0, text)
    assert verdict.points == 0
    assert verdict.checks[0].problem in ("what came back cannot be measured", "its entry differs")


def test_a_one_sided_check_without_a_measure_is_refused():
    with pytest.raises(ValueError, match="one-sided"):
        Judge(SimpleNamespace(stem="x", checks_source=MEASURED.replace(", measure=error", "")), 0)
