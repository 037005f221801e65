"""Limits of connections, on either server."""

# Every open WebSocket holds one place for as long as a shopper waits. A server's own bound (1,024
# with eventlet) would let waiting shoppers keep Safaricom's callbacks out; memory ends long before
# this number.
MAX_CONNECTIONS = 100_000
# Each connection is an open file. This many files are kept for the database, Daraja, Redis and
# logs, but not more than half of all.
OWN_FILES = 256
# Seconds after which a browser or proxy that went away silently is noticed.
IDLE_CONNECTION = 75.0
# Bytes. Browsers, Safaricom and nginx stay far below; eventlet has the same bounds by itself.
LONGEST_HEADER = 8192
LARGEST_HEAD = 65_536
