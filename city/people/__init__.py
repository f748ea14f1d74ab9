"""Accounts, sessions, contacts and callers."""
