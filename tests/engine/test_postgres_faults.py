"""What PostgreSQL says, in words that help and give nothing away."""

from __future__ import annotations

import asyncpg

from heddle.engine.postgres_faults import fault


def test_a_url_that_was_pasted_into_another_is_not_said_again_with_its_password() -> None:
    said = 'database "postgresql://weaver:secret@host/runs" does not exist'
    error = fault(asyncpg.InvalidCatalogNameError(said), "postgresql://…")
    assert error.message == "postgresql://…: there is no such database"
    assert error.code == "journal-unwritable"
