"""The pure core: what people and Daraja write, money, decisions, times, snapshots.

Standard library only; no I/O, no clock, no environment.
"""
