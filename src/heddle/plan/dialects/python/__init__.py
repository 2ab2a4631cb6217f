"""The python dialect: a small part of Python, read statement by statement, never executed."""
