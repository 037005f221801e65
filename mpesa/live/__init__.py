"""Sockets: which socket may enter which room, and what each room is told.

Thousands of pages wait on one worker, and the stock Engine.IO and python-socketio spend greenlets,
queues and scans on each of them. So `connections`, `room_index` and `admission` use private parts
of both libraries; no code outside of this package does. tests/seams.py names each of these parts,
and the test that fails if a release changes it.
"""
