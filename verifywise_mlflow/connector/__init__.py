"""MLflow over REST, read only: transport, pages, and the entities that come out of them."""
