"""Mean field, and scaling over finite sizes."""
