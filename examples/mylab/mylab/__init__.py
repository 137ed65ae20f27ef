"""Networks of my lab for colorization."""
