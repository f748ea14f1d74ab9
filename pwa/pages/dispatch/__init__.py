"""The board and what dispatchers do there."""
