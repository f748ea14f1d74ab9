"""What anybody may take away."""
