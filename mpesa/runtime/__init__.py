"""One running process: wires its parts together, runs its loops, and migrates its database."""
