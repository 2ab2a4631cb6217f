"""The journal: the events of a run where they survive the process.

    events ──frames──▶ chain of hashes ──▶ store (SQLite, PostgreSQL)
                                             │
    state = fold(events) ◀──verified frames──┘

`store` says what a store promises. Nothing of a run is lost once `append` with `sync` has returned,
and the engine waits for that before every effect.
"""
