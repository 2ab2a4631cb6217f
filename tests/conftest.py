"""What every test run says at its end; the servers that tests may ask for; how patient it is."""

import signal

from hypothesis import HealthCheck, settings

from corpora import summary
from postgres_server import postgres, postgres_session

__all__ = ["postgres", "postgres_session", "pytest_terminal_summary"]

# a machine that has other work to do is no failure
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# a shell's job in the background ignores Ctrl-C, and so would every program that a test interrupts
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(summary())
