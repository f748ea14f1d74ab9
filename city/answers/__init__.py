"""Articles and their search."""
