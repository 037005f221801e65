"""The parts of HTTP that every room uses: errors, limits, headers, sentences, fields."""
