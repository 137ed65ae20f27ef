"""The documentation's pages, and in `generate` the program that writes what follows from the code."""
