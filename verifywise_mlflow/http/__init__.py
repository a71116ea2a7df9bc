"""A safe, generic HTTP client: limits, SSRF guard, retries, circuit breaker, authentication, forward proxies.

``client.py`` is the entry point. The MLflow REST client, the artifact stores, OAuth2 token requests, deliveries,
witnesses and alerts use it.
"""
