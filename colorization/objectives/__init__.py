"""Objectives: what the network's map means, how wrong it is, and which ab it stands for. One file each."""
