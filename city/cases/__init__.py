"""Cases: transitions, SLA, duplicates, batches, search."""
