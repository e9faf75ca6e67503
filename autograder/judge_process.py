"""The judge at the end of a pipe: one line of JSON in, one line out. `python -m autograder.judge_process LAB`."""

import json
import sys

from autograder.feedback import display_bundle
from autograder.judge import Judge
from autograder.labs import find_lab
from autograder.task import draw_seed


def main() -> None:
    judge = Judge(find_lab(sys.argv[1]), draw_seed())
    print(json.dumps({"seed": judge.seed}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        verdict = judge.judge_text(request["question"], request["max_points"], request["text"])
        print(json.dumps({"points": verdict.points, "display": display_bundle(verdict)}), flush=True)


if __name__ == "__main__":
    main()
