"""Tools that come with heddle."""
