"""Every example in a docstring runs."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

import heddle

MODULES = [module.name for module in pkgutil.walk_packages(heddle.__path__, "heddle.")]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_its_examples_run(name: str) -> None:
    assert doctest.testmod(import_module(name)).failed == 0
