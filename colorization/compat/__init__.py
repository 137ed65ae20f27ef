"""All uses of private names of other libraries, by library.

Each function and class says which private name it wraps; pyproject.toml has upper bounds, and tests/test_compat.py
names what broke.
"""
