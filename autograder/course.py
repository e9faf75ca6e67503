"""The nbgrader course folder: source, release, submitted, autograded, gradebook.db. `build/nbgrader` by default."""

import contextlib
import logging
import os
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from sqlalchemy.exc import SAWarning
from traitlets.config import Config, PyFileConfigLoader

from autograder.labs import BUILD, ROOT, Lab, UsageError, repository_url
from autograder.weave import Woven, weave

CONFIG = ROOT / "autograder" / "nbgrader_config.py"


@dataclass(frozen=True)
class Course:
    """One nbgrader course folder."""

    root: Path = BUILD / "nbgrader"

    @property
    def db_url(self) -> str:
        return f"sqlite:///{self.root / 'gradebook.db'}"

    def folder(self, step: str, lab: Lab, student: str = ".") -> Path:
        """The folder of a lab at a step (source, release, submitted, autograded), of one student where there is one."""
        return self.root / step / student / lab.stem

    def notebook(self, step: str, lab: Lab, student: str = ".") -> Path:
        return self.folder(step, lab, student) / f"{lab.stem}.ipynb"

    def gradebook(self) -> Gradebook:
        return Gradebook(self.db_url)

    def api(self) -> NbGraderAPI:
        """nbgrader's own API on this folder, with our configuration."""
        config = PyFileConfigLoader(CONFIG.name, path=str(CONFIG.parent)).load_config()
        config.merge(Config({"CourseDirectory": {"root": str(self.root), "db_url": self.db_url}}))
        return NbGraderAPI(CourseDirectory(config=config), config=config)

    def prepare(self, lab: Lab) -> Woven:
        """Weave a lab into source/, and let nbgrader's generate_assignment make its release and gradebook rows.

        Raises:
            WeaveError: if the lab source is malformed.
            UsageError: if nbgrader refuses, for instance because grade cells changed after work was graded.
        """
        woven = weave(lab, repository_url())
        self.root.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CONFIG, self.root / "nbgrader_config.py")
        source = self.notebook("source", lab)
        source.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(woven.notebook, source)
        with quiet_nbgrader():
            result = self.api().generate_assignment(lab.stem, force=True, create=True)
        if not result["success"]:
            raise UsageError(f"nbgrader could not release {lab.stem}: {last_line(result)}")
        return woven


@contextlib.contextmanager
def quiet_nbgrader():
    """Keep nbgrader's log off the terminal, and put its `alembic` on PATH: it starts that by name."""
    scripts = str(Path(sys.executable).parent)
    if scripts not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = scripts + os.pathsep + os.environ["PATH"]
    loggers = [logging.getLogger(name) for name in ("traitlets", "alembic", "nbgrader")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", SAWarning
            )  # nbgrader 0.9 adds rows to SQLAlchemy's session in an odd order
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


def last_line(result: dict) -> str:
    """The line of an nbgrader result that says what went wrong."""
    text = result.get("error") or result.get("log") or "it gave no reason"
    return text.strip().splitlines()[-1]
