"""The page for trying restoration: `desk` is its work, `page` and `view` its looks, `gate` and `serve` its server."""
