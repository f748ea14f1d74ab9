"""GeoReport v2, the way in for other programs. Read docs/reference/open311.md first, then routes.py."""
