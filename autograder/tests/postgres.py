"""A real PostgreSQL server for the tests, from Debian's package: `apt-get install postgresql`."""

import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa


@pytest.fixture(scope="session")
def new_postgres_database() -> Iterator[Callable[[], str]]:
    """Makes an empty database and returns its URL. The server lives in a temporary folder and dies with the tests."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    if not importlib.util.find_spec("psycopg2"):
        pytest.skip("PostgreSQL's driver is not installed: pip install psycopg2-binary")
    if not shutil.which("setpriv"):
        pytest.skip("setpriv, which starts and ends the server, is not installed: apt-get install util-linux")
    with tempfile.TemporaryDirectory(prefix="postgres", ignore_cleanup_errors=True) as folder:
        data = Path(folder, "data")
        start = ["setpriv", "--pdeathsig", "QUIT"]  # if the tests are killed, the server ends too
        if os.geteuid() == 0:  # the server refuses to run as root
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
            start += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        options = ["-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8"]
        initdb = [programs[-1] / "initdb", "-D", data, *options]
        subprocess.run([*start, *initdb], check=True, capture_output=True, cwd=folder)
        serve = [programs[-1] / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-F"]
        with Path(folder, "log").open("w") as log:
            server = subprocess.Popen([*start, *serve], cwd=folder, stderr=log, stdout=log)
        url = f"postgresql+psycopg2://postgres@/{{}}?host={folder}"
        admin = sa.create_engine(url.format("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        try:
            wait_for(admin, server, Path(folder, "log"))
            numbers = itertools.count()

            def new() -> str:
                name = f"test{next(numbers)}"
                with admin.connect() as connection:
                    connection.exec_driver_sql(f"CREATE DATABASE {name}")
                return url.format(name)

            yield new
        finally:
            server.send_signal(signal.SIGQUIT)
            server.wait(timeout=30)


def wait_for(admin: sa.Engine, server: subprocess.Popen, log: Path) -> None:
    """Wait until the server answers."""
    for _ in range(150):
        try:
            admin.connect().close()
            return
        except sa.exc.OperationalError:
            assert server.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.2)
    raise AssertionError(log.read_text(encoding="utf-8"))
