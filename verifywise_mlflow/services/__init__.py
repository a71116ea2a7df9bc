"""Use cases of people, sensors and checks, and what stages and deliveries share, such as the policies of a tenant."""
