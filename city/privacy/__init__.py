"""Retention, erasure, redaction, a person's records."""
