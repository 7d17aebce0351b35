"""Human studies: a page on which people compare methods blindly, and the tally of their answers."""
