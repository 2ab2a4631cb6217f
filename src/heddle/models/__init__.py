"""Who thinks: one small streaming protocol and its implementations."""
