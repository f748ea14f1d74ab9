"""Larkhaven's crews in the field: what the demo city cannot tell without phones."""
