"""A safe HTTP client: bounded, guarded against SSRF, with retries, a circuit breaker, authentication and proxies."""
