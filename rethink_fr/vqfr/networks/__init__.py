"""The networks of VQFR: generators, discriminators, and what they are made of."""
