"""Larkhaven, a city that never was."""
