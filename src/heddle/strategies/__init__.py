"""When to plan: one file per strategy, prompts beside them."""
