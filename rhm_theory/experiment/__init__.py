"""Forward-backward experiments, measurements, comparison with Bayes, and the probe."""
