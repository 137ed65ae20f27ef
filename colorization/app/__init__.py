"""A page in the browser that colours pictures and films (extra `app`)."""
