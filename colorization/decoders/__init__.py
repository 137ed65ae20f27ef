"""Decoders: a pyramid of features in, a map at the input's resolution out. One file each."""
