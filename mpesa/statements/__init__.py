"""The statement of the organisation's portal, which proves what the shop's own books say.

sheets      rows of a file, by its content: CSV, XLSX, XLS
child       the process that reads a file that somebody uploaded, and nothing else
reading     have a file read by it, one at a time
importing   look at what a file would change, keep it, settle its lines
reversals   money that went back
comparing   a day as statements tell it, beside our own books
closing     close a day, which never changes again; days at a glance; a closed day as CSV
"""
