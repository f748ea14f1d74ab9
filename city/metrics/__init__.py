"""What the figures are, and the SQL they come from."""
