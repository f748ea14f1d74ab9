"""Photos: verify, process, store, find orphans."""
