"""For shoppers: the page, the push, the poll, an SMS code; and a shop to try them in."""
