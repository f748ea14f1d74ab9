"""The crew app's shell."""
