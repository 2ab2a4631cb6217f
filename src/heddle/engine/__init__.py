"""How it runs: scheduler, limits, attempts, events and state."""
