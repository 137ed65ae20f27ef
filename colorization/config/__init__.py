"""Configuration: schemas, resolvers, and the one `instantiate`."""
