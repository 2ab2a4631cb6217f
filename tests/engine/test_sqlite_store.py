"""Journals in one SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from store_contract import StoreContract

from heddle.engine.journal.sqlite import SQLiteStore
from heddle.testing.clock import run_virtual

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> SQLiteStore:
    return SQLiteStore(tmp_path / "folder" / "journal.db")


class TestContract(StoreContract):
    pass


class TestContractInVirtualTime(StoreContract):
    def run_store(self, main: Any) -> Any:
        return run_virtual(main)
