"""The life of a payment, as file names; imports point down only.

runtime/                one running process: its parts, its loops, its database brought up to date
cli/                    the flask commands
live/                   sockets: who may enter which room, and what each room is told
web/                    requests: a room each for shoppers, merchants, Safaricom, operators
simulator/              Daraja in a box and the virtual phone; shares nothing with the client
vitals                  whether database and Redis are there, and what waits for a result
orders                  create, find, cancel
checkout                start a payment: check, write the row, ask Daraja, record the answer
mpesa_qr                the picture that M-PESA's app reads: fetched once, kept
inbox                   take in a callback: store raw, judge, apply
refunds                 money back: ask, release, send once, hear
refund_lists            refunds in pages
status                  Transaction Status: ask about single receipts, judge what is answered
statements/             what the organisation's portal exports: read it, compare it, close a day
pull                    the hourly net: what was paid in the last 48 hours
codes                   codes that shoppers type out of an SMS
many_receipts           what a statement tells of many receipts, where no order is changed by it
receipts                money in: take in what a witness tells, and give it to its order
candidates              the orders that a receipt may be the money of, read at once
claims                  codes that were typed, and the receipts that they name
initiators              how far each API user may be used, so that none is ever locked
awaited                 result addresses: a hashed token, its subject, until when
reconciler              ask Daraja about what stayed silent, within a budget
operators               who may use the console: names, passwords, roles, second factors
retention               forget who paid, by age or on request
export                  transactions as CSV
outbox                  announce committed changes to the rooms, and keep what was announced
webhooks/               tell the merchant's server, signed, until it has heard
deadlines               what time alone changes: overdue waits, prompts too old to be answered
turns                   whose turn it is to have Daraja asked, shared out by sender
queries                 one question to Daraja about one transaction, and its record
idempotency             one key, one answer: what is asked for twice is done once
hints                   what workers tell each other through Redis
ledger                  record(): the only code that changes a transaction
receipt_lists           receipts as merchants and operators are shown them: one, a page of many
records                 the rows that go with a decision: evidence, messages, receipts
books                   an order with its attempts, taken out under its lock and put back
owners                  whose an id or a receipt is, for the evidence that names it
daraja_access           the OAuth token and the query budget, shared by all processes
database                connections: what each asks for, and when it is given up
workers                 how many processes serve one database
models                  tables and constraints, one write, one read
daraja/                 the only code that speaks HTTP to Safaricom
bounded_http/           HTTP with a hard end, for Daraja and for webhooks
ids                     ids and callback tokens: make, recognise, hash
second_factor           the secret of an authenticator app, sealed, and the codes it makes
windows                 what was counted of a key lately, in Redis or in memory
counters                what happened how often
logs                    how log lines are written
silence                 how long PostgreSQL may say nothing
config                  Settings.from_env()
domain/                 pure: order and attempt, phone, money, reference, address, people's text,
                        SMS code, result codes, callback, confirmation, Pull's rows, results,
                        people cut out, lines of a statement, settlement, schedule, steps of the
                        clock, push rules, refusals, view, snapshot, webhook, roles

Beside them `serving`, the only package that knows the async servers.
"""

# The one place that says it. pyproject.toml repeats it for packagers and Dockerfile in a label, and
# tests compare them.
__version__ = "0.2.0"
