"""What every room needs of HTTP: errors, limits, headers, sentences, fields."""
