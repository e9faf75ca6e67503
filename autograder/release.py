"""The student bundle: notebooks, labkit, data and requirements, with nothing in it that gives an answer away."""

import shutil
from pathlib import Path

from autograder.labs import ROOT, Lab, UsageError

# The only things that go in; everything else stays with the instructor.
LABKIT = ("labs/labkit/*.py",)
DATA = (
    "data/README.md",
    "data/SHA256SUMS",
    "data/*.npz",
    "data/checkpoints/*.safetensors",
    "data/results/*.json",
    "data/gpu_speedup/*.json",
)


def learner_requirements(text: str) -> str:
    """What a learner needs of requirements.txt: the lines above the grader's heading, and nbgrader for Validate."""
    learner, grader = text.split("# What the grader needs:")
    lines = [line for line in learner.splitlines() if line and not line.startswith("#")]
    lines += [line for line in grader.splitlines() if line.startswith("nbgrader")]
    return "\n".join(lines) + "\n"


def release(labs: list[Lab], out: Path) -> list[Path]:
    """Write the student bundle into a new folder; return the files in it, relative to it, sorted.

    Raises:
        UsageError: if the folder exists and is not empty, or a notebook has not been woven. Nothing is written then.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and is not an empty folder; name a new one with --out.")
    for lab in labs:
        if not lab.notebook.exists():
            raise UsageError(
                f"{lab.notebook.name} does not exist yet; run `python -m autograder weave` first."
            )
    out.mkdir(parents=True, exist_ok=True)
    for lab in labs:
        shutil.copyfile(lab.notebook, out / lab.notebook.name)
    for pattern in (*LABKIT, *DATA):
        for path in sorted(ROOT.glob(pattern)):
            target = out / path.relative_to(ROOT / "labs" if pattern in LABKIT else ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    shutil.copyfile(ROOT / "LICENSE", out / "LICENSE")
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    (out / "requirements.txt").write_text(learner_requirements(requirements), encoding="utf-8")
    (out / "README.md").write_text(BUNDLE_README, encoding="utf-8")
    return sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())


BUNDLE_README = """\
# Pruning and Sparsity, Hands-On

    python -m pip install -r requirements.txt
    jupyter lab

Open a lab, work through its cells from top to bottom, and hand in the notebook. Before you do, press **Validate**
above the notebook: it runs the checks that you can see. `labkit/` and `data/` must stay beside the notebooks.
"""
