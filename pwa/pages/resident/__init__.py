"""What residents open."""
