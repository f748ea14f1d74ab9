"""What administrators and record officers set."""
