"""Daraja's APIs besides M-PESA Express, a file for each."""
