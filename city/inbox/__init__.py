"""What comes in by mail and text: answers go to their case, all else waits in the desk's inbox."""
