"""What a noise leaves of a symbol, as likelihoods."""
