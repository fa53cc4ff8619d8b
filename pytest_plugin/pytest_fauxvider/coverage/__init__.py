"""Contract coverage: what of the providers' contracts a test suite made its client face, and what it never did."""
