"""For Safaricom: the requests that Daraja sends to us."""
