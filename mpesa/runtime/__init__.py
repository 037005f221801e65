"""One running process: its parts wired together, its loops, its database brought up to date."""
