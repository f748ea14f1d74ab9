"""The crew app."""
