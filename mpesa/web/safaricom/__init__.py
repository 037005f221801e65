"""For Safaricom: what Daraja sends by itself."""
