"""`rethink-fr doctor`: what would stop or slow down a long run, found out before it."""
