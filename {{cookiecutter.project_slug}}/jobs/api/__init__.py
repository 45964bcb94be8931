"""The REST API at /api/: programs submit jobs, watch them, and cancel them. Users see only their own jobs."""
