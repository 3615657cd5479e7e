"""What should I do? Numbers, verdict, certificates."""
