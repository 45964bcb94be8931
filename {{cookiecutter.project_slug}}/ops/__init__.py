"""What keeps the stack healthy: heartbeats and probes."""
