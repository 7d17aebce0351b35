"""Published weights: which ones are known, fetching them, reading them, and networks that take them."""
