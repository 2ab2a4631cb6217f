"""What every test run says at its end."""

from corpora import summary


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(summary())
