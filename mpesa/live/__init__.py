"""Sockets: who may enter which room, and what each room is told.

Here be surgery. Thousands of pages wait on one worker, and the stock Engine.IO and python-socketio
pay for each of them with greenlets, queues and scans. So `connections`, `room_index` and
`admission` reach into private parts of both; nothing outside of this package knows of them.
tests/seams.py names each of these parts, and what fails where a release changes it.
"""
