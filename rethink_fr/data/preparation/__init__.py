"""What `data.prepare` is made of: one picture, its columns, processes that work on many, and what outlives a kill."""
