"""For programs that watch the server: load balancers, Prometheus, `flask doctor`."""
