"""What every test run says at its end; the servers that tests may ask for."""

from corpora import summary
from postgres_server import postgres, postgres_session

__all__ = ["postgres", "postgres_session", "pytest_terminal_summary"]


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(summary())
