"""The audit log: events, what is counted from them, epochs, the erasure ledger."""
