"""Everything private that we use of other libraries, by library.

Each function and class says what it stands for; pyproject.toml pins what was tried, and tests/test_compat.py names what
broke.
"""
