"""What dispatchers read: the queue, the map, saved views."""
