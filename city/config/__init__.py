"""The city file and all it sets."""
