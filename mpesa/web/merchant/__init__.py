"""For the shop's server: orders, and the contract that describes every route."""
