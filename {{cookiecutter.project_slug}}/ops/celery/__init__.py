"""What workers need: the base class of tasks, dead letters, shutdown and heartbeats."""
