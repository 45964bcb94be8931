"""What web needs: middleware, health checks and protected downloads."""
