"""One module an audience; they never import each other."""
