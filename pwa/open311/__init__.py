"""GeoReport v2, the way in for other programs. Read routes.py first; docs/open311.md is what it keeps to."""
