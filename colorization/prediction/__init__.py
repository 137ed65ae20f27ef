"""What the command that colours pictures is made of: its words, its jobs, its processes, its closing table."""
