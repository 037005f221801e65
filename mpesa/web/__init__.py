"""Requests, by who comes: a room each, and `http/` below them for what they share.

shopper/    the checkout page, the push, the poll, an SMS code, the demo shop
merchant/   orders for the shop's server, and the contract that describes them
safaricom/  what Daraja sends by itself
console/    operators, logged in
monitor/    load balancers, Prometheus, `flask doctor`
http/       errors, limits, headers, sentences, fields: what each room needs

No room imports another one.
"""
