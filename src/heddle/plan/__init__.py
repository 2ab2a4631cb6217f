"""What to do: the IR, tools as a plan sees them, dialects and the verifier. Pure."""
