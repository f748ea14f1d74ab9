"""Who hears of what, by which channel."""
