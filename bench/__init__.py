"""What is measured and how. Each module is one bench and prints JSON lines; those with a _ are shared."""
