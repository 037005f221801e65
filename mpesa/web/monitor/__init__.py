"""For those who watch the server: load balancers, Prometheus, `flask doctor`."""
