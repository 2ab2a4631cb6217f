"""Reading and writing text: what several dialects have in common."""
