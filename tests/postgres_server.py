"""The PostgreSQL server of a test run, as fixtures."""

from __future__ import annotations

import os

import pytest
from bench.reliability.postgres import NoServer, PostgresServer, served


@pytest.fixture(scope="session")
def postgres_session():
    """The one server. Without it the tests fail and say why, unless somebody asked to do without.

    In continuous integration (CI is set) there is no doing without.
    """
    try:
        with served() as server:
            yield server
    except NoServer as missing:
        if os.environ.get("HEDDLE_WITHOUT_POSTGRES") and not os.environ.get("CI"):
            pytest.skip(f"NOT RUN, as HEDDLE_WITHOUT_POSTGRES asks: {missing}")
        pytest.fail(f"these tests need a PostgreSQL server: {missing}", pytrace=False)


@pytest.fixture
def postgres(postgres_session: PostgresServer) -> PostgresServer:
    """The running server, whatever the test before has done to it."""
    if not postgres_session.running:
        postgres_session.start()
    return postgres_session
