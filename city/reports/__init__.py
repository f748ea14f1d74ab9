"""The way in: reports, calls, closing feedback."""
