"""Use cases of people, sensors and checks, and the code that stages and deliveries share, such as tenants' policies."""
