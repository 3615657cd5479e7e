"""When can a model unlearn? Closed forms, solvers and verdicts for descent-ascent in logistic regression."""
