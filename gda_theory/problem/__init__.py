"""What is the question? Losses, the objective, and validated data."""
