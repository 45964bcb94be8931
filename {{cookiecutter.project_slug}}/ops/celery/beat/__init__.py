"""What beat needs: its scheduler, and a lock that lets only one of several schedulers send."""
