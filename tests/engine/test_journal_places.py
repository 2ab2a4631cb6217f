"""Where journals may be: what is no place is said at once, as the caller's mistake."""

from __future__ import annotations

from typing import Any

import pytest

from heddle.engine.journal.places import open_store
from heddle.errors import ConfigError


@pytest.mark.parametrize("place", [5, ["runs.db"], object(), "", "mysql://host/db", "ftp://x"])
def test_something_else_than_a_place_is_refused(place: Any) -> None:
    with pytest.raises(ConfigError) as found:
        open_store(place)
    assert found.value.code == "bad-journal"
    assert "postgresql://user@host/database" in found.value.hint
