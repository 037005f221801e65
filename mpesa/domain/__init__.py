"""The pure core: phone numbers, money, result codes, callbacks, decisions, snapshots.

Standard library only; no I/O, no clock, no environment.
"""
