"""Doors and windows: every page, API and command."""
