"""Other systems' requests and layers, read in."""
