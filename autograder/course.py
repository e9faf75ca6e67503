"""The nbgrader course folder: source, release, submitted, autograded, gradebook.db. `build/nbgrader` by default."""

import contextlib
import logging
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from sqlalchemy.exc import SAWarning
from traitlets.config import Config, PyFileConfigLoader

from autograder.gradebook import Ledger
from autograder.labs import BUILD, ROOT, Lab, UsageError, repository_url
from autograder.repair import true_cells

CONFIG = ROOT / "autograder" / "nbgrader_config.py"


@dataclass(frozen=True)
class Course:
    """One nbgrader course folder.

    Attributes:
        root: the folder.
        database: SQLAlchemy's URL of the gradebook; "" for a gradebook.db in the folder.
    """

    root: Path = BUILD / "nbgrader"
    database: str = ""

    @property
    def db_url(self) -> str:
        return self.database or f"sqlite:///{self.root / 'gradebook.db'}"

    def folder(self, step: str, lab: Lab, student: str = ".") -> Path:
        """The folder of a lab at a step (source, release, submitted, autograded), of one student where there is one."""
        return self.root / step / student / lab.stem

    def notebook(self, step: str, lab: Lab, student: str = ".") -> Path:
        return self.folder(step, lab, student) / f"{lab.stem}.ipynb"

    def gradebook(self) -> Gradebook:
        return Gradebook(self.db_url, course_id="")  # the empty name adds no course

    def config(self) -> Config:
        """nbgrader's configuration of this course: what its own nbgrader_config.py says."""
        own = self.root / "nbgrader_config.py"
        path = own if own.exists() else CONFIG
        config = PyFileConfigLoader(path.name, path=str(path.parent)).load_config()
        config.merge(Config({"CourseDirectory": {"root": str(self.root), "db_url": self.db_url}}))
        return config

    def api(self) -> NbGraderAPI:
        """nbgrader's own API on this folder, with our configuration."""
        config = self.config()
        return NbGraderAPI(CourseDirectory(config=config), config=config)

    def prepare(self, lab: Lab) -> None:
        """Let nbgrader's generate_assignment make the lab's release and gradebook rows, where they are not there yet.

        Raises:
            WeaveError: if the lab source is malformed.
            UsageError: if nbgrader refuses, for instance because grade cells changed after work was graded.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        self._write_config()
        with quiet_nbgrader(), Ledger(self.db_url) as ledger:
            if ledger.released(lab.stem) == lab.version and self.notebook("release", lab).exists():
                return
            from autograder.weave import weave  # it needs torch, and a lab that is released already does not

            source = self.notebook("source", lab)
            source.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(weave(lab, repository_url()).notebook, source)
            result = self.api().generate_assignment(lab.stem, force=True, create=True)
            if not result["success"]:
                raise UsageError(f"nbgrader could not release {lab.stem}: {last_line(result)}")
            ledger.set_released(lab.stem, lab.version)

    def _write_config(self) -> None:
        """Write nbgrader_config.py once; what an instructor changes in it stays."""
        path = self.root / "nbgrader_config.py"
        if not path.exists():
            text = CONFIG.read_text(encoding="utf-8")
            if self.database:
                text += f"\nc.CourseDirectory.db_url = {self.database!r}\n"
            path.touch(mode=0o600)  # the URL may hold a password
            path.write_text(text, encoding="utf-8")

    def true_cells(self, lab: Lab) -> list[NotebookNode]:
        """The lab's nbgrader cells, in their order, as the gradebook knows them."""
        with self.gradebook() as gradebook:
            return true_cells(gradebook.find_notebook(lab.stem, lab.stem))


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
