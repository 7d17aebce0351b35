"""Published weights: which there are, fetching them, reading them."""
