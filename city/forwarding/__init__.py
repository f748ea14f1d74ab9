"""Requests at other owners' endpoints, by Open311: sent there, followed, and brought in from there."""
