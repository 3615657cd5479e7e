"""Captions of a report's pictures, and how each answer is computed.

Captions say first what to see. Texts hold no numbers of the data; formulas stand in backquotes.
"""

CAPTIONS = {
    "changes": "Look at how far right each strip reaches: most predictions hardly move, and a few "
    "rows move most. The axis is logarithmic. Each strip shows how far the predicted probabilities "
    "of one model are from those of the retrained model.",
    "features": "The longest bars are the features whose weights must change most. A bar is the "
    "difference of the weights times the root mean square of the feature, so it says how far the "
    "feature moves a typical score.",
    "rows": "The longest bars are the forgotten rows that matter most. A bar says which part of "
    "the way to the retrained model is covered when this row alone is removed. Bars to the left "
    "lead away from it.",
    "stops": "Compare the filled mark with the ring: where the ring is further left, plain "
    "descent has come closer in as many epochs. The best epoch cannot be seen in practice, since "
    "the retrained model is unknown.",
    "course": "Follow the curve to the right: the stronger the ascent, the further its minimum "
    "lies from the retrained model. Above the dashed line it is worse than doing nothing. The "
    "vertical axis is logarithmic.",
    "sides": "The retrained model lies between the pretrained one and the minimum of ascent, if "
    "the curve leaves it to the left. To the right is the distance along the direction of the "
    "pretrained model, in units of the distance of doing nothing. Upwards is the distance at a "
    "right angle to this direction.",
    "position": "A mark far to the left or right is unusual. It says which share of the forget "
    "sets of a study on real data has a smaller value than yours. The study has sets of one and of "
    "five percent of the rows, so the first share says little for sets of another size.",
    "accuracies": "Marks inside the shaded range are compatible with a random forget set. A model "
    "outside it has an accuracy on the forgotten rows that no retrained model would have.",
    "attacks": "The closer a curve is to the lower edge, the less an outsider can tell. Each curve "
    "shows one model: how often the best guess is right, over the forgotten rows in order.",
    "remedies": "Further left is better, and methods come in the order of their work. A mark "
    "is what a method leaves. A bar ends at the bound that is certified without the retrained "
    "model. The axis is logarithmic; marks at its ends may lie beyond.",
}

METHODS = {
    "effects": (
        "The pretrained model is the minimum over all rows, and the retrained model is that over "
        "the kept rows. Both are found by Newton's method until the gradient is rounding noise. "
        "The Newton step is `w_D - H_R(w_D)^-1 grad J_R(w_D)`. The minimum of ascent is the one at "
        "the asked strength that continues the retrained model, if it exists.",
        "Predicted probabilities are those that make the score optimal for the loss: for the "
        "logistic loss `1/(1 + exp(-<w, x>))`. The calibration error compares mean prediction and "
        "share of the class in ten equal bins of the prediction. The kept rows took part in every "
        "training, so that accuracies on them are higher than on new rows.",
    ),
    "differences": (
        "The effect of a feature is `(w_D - w_R)_j` times the root mean square of column j. "
        "How strongly correlated features share an effect says little about each of them alone.",
        "The influence of a row is one Newton step from the pretrained weights on the objective "
        "without this row, for all rows from one factorisation. It is projected on "
        "`w_R - w_D`, in units of its length. The exact change by retraining without the row "
        "differs by a term of second order. If the sum over all forgotten rows is far from the "
        "whole way, rows act together and not each by itself.",
    ),
    "stops": (
        "Every scheme runs from the pretrained model at several step sizes, and the distance to "
        "the retrained weights is measured at every epoch. The best epoch is the one of the "
        "smallest distance. Good epochs leave at most half of the distance of doing nothing. "
        "Shown is the step size with the best stop. With many rows the runs are followed on a "
        "sample that agrees with all rows to second order at the retrained model.",
        "The scheme `ascent_then_descent` ascends for some epochs and then only descends on the "
        "kept rows. What it reaches is the work of descent.",
    ),
    "course": (
        "The minimum is followed from the retrained model as the strength grows, by predictor and "
        "corrector, until the Hessian is singular. There the minimum meets a saddle and both "
        "disappear.",
        "Slowness follows from the normal form at this point, to leading order in the relative "
        "distance `d` to the critical strength `c`: the smallest curvature is `sqrt(2 |a b| c "
        "d)`, with `a = v' grad L_F` and `b = sum_i c_i l'''(m_i) (v' t_i)^3` for the null vector "
        "v. Above it, a run passes the place in the time `pi sqrt(2 / (|a b| c d))`. Epochs are "
        "counted at step size one over the largest curvature of the retained loss. The minimum "
        "beyond is the one that Newton's method with line search finds from the fold. Another run "
        "may end in another minimum.",
    ),
    "dependence": (
        "The break-even strength is where ascent's minimum is as far from the retrained model as "
        "doing nothing is. The cosine is that between `w_D - w_R` and the direction "
        "`H_R^-1 grad L_F` in which ascent leaves the retrained model.",
        "Cross-influence is the spectral norm of a matrix with a row for each forgotten and a "
        "column for each kept row. With `t_i = y_i x_i` and the Hessian H of pretraining its "
        "entries are: for losses `phi_i phi_j t_i' H^-1 t_j / n`; for margins "
        "`phi_i t_i' H^-1 t_j / n`; by leverage `sqrt(l''_i l''_j) t_i' H^-1 t_j / n`; normalised, "
        "the first over its largest possible value. The matrix is never formed.",
        "The study compares {position.forget_sets|number} forget sets of "
        "{position.datasets|number} data sets under mean losses, at three ridges. None of its "
        "measures predicts the harm of ascent well on all of them.",
    ),
    "random_test": (
        "A fifth of the kept rows is drawn at random and held out. A model is trained on the other "
        "kept rows, so it saw neither the held-out nor the forgotten rows. If the forgotten rows "
        "were drawn at random, both sets are a random split of the rows it never saw. The exact "
        "probability counts the splits with at least this gap. Hoeffding's bound is "
        "`2 exp(-2 t^2 f m / (f + m))`, with f forgotten and m held-out rows.",
        "The retrained model itself cannot be compared with the kept rows, since it was trained on "
        "them. Two things are approximate: this model is trained on fewer rows than the retrained "
        "one, and features that were scaled on the kept rows were scaled with the held-out rows. "
        "A set that passes need not be random.",
    ),
    "remedies": (
        "Every method starts at the pretrained weights. What is left is the distance of its "
        "weights to the retrained ones, over that of doing nothing. What is certified is a bound "
        "on it that is computed without the retrained weights, from the gradient and the Hessian "
        "of the loss of the kept rows. So it is what one can know in practice.",
        "Work is counted in gradients over the kept rows. A Hessian over d features counts as "
        "`1 + d/2` of them, with its gradient. Certifying costs one Hessian more, which is not "
        "counted. Pure ascent and fine-tuning take the step size `2/(M + m)`, with the largest and "
        "smallest possible curvature. Noisy descent is Descent-to-Delete. Its noise hides the "
        "deletion, with a guarantee, and makes most of the distance that it leaves.",
    ),
    "membership": (
        "Training is made random by a term `b' w` with Gaussian b in the sum of the losses. Its "
        "deviation is {membership.noise|number} in each coordinate, so that b is as long as the "
        "gradient of one kept row, in the root mean square. To first order the margin of a row is "
        "then Gaussian, with mean `y <w, x>` and deviation `s |H^-1 x|`. With less noise an "
        "outsider can tell more, with more noise less.",
        "The score is the logarithm of the ratio of two densities of the margin, under training "
        "with and without the forgotten rows (LiRA). Guesses are right in a share `(1 + V)/2` of "
        "cases, where V is the total variation between the laws of the model and of a retrained "
        "one. Pinsker's bound on it is `1/2 + sqrt(K/8)`, where K is the divergence.",
    ),
}

# What is said besides for more than two classes.
SEVERAL = {
    "effects": "With {classes|number} classes the loss is the softmax loss. The change of a "
    "prediction is half of the sum of the absolute changes over the classes, which for two classes "
    "is the change of one probability. The Brier score adds up the squares over the classes. The "
    "calibration error compares the probability of the predicted class with the accuracy.",
    "differences": "Each class has weights of its own. So a bar is the weight of one feature in "
    "the score of one class. What all classes have in common changes no prediction, and is left "
    "out.",
    "course": "With {classes|number} classes b is the sum of the third derivatives of the losses "
    "along v, each with its coefficient.",
    "dependence": "With {classes|number} classes the margin is the logarithm of the odds of a "
    "row's own class, so that the loss is `log(1 + exp(-m))` as for two. `t_i` is its derivative "
    "by the weights, `l''_i` the Hessian of the loss by the scores, and the leverage of a row the "
    "trace of its block. All data sets of the study have two classes, so compare with care.",
    "remedies": "With {classes|number} classes a Hessian counts as `1 + (K - 1) d/4` gradients.",
    "membership": "With {classes|number} classes the margin is the logarithm of the odds of a "
    "row's own class. To first order it is Gaussian, and its derivative by the weights stands in "
    "place of `y x`.",
}
