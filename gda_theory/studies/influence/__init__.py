r"""Does the harm of ascent grow with the spectral norm of the cross-influence? A study on data.

The paper leaves this question open (App. A). The protocol was fixed before the first run.

**Data.** Eleven data sets from ten sources (the two pairs of digits count as one source). Of each,
at most 2,000 rows are drawn from seed 0. Numbers are standardised. A category becomes one column
for each of its eight most frequent values. More than 29 columns are replaced by their 29 leading
principal components. A last column of ones is the intercept. The loss is logistic, averaged over
each set, and every column has the same ridge: 0.001, 0.01 or 0.1.

**Forget sets.** 1 % or 5 % of the rows, at least 4. The kinds are: 6 *random* sets. 4 from a
*group*: rows of one value of a column, or of one k-means cluster. 4 *nearest* sets: a random row
and its nearest neighbours. 4 *mislabelled* sets: random rows whose labels are made wrong before
pretraining. 4 *easy* sets, drawn from the quarter of rows of the smallest loss. 4 *component* sets:
the rows at the top and at the bottom of the two leading components of the loss cross-influence of
all rows. A *cell* is one data set, ridge and size. It has 26 forget sets.

**Harm.** All runs start at the pretrained model :math:`w_D`, and :math:`w_R` is the retrained one.
The *relative distance* of w is :math:`|w - w_R| / |w_D - w_R|`; above 1, doing nothing was better.

* ``budget``, the *primary* one: log10 of the relative distance after 100 simultaneous epochs at
  strength 1. The step size is 0.1 over the largest curvature of the retain objective.
* ``budget_weak``: the same at strength f/r. ``budget_alternating``: the same with alternating
  steps, descent first, at strength 1.
* ``limit``, ``limit_weak``: log10 of the relative distance of the minimum of descent-ascent at
  strength 1 and at f/r. Where the minimum is lost, the harm counts as larger than all others.
  Where the path of minima could not be followed so far, the harm is unknown, and the set does not
  count for this measure. The critical strength may be unknown in the same way.
* ``early_stop``: log10 of the least relative distance in these 100 epochs, over the step sizes
  0.01, 0.1 and 1 over the largest curvature.
* ``retain_rise``: log10 of the rise of the retain objective above its minimum, after the run of
  ``budget``. It is absolute: it is not divided by what doing nothing leaves.

**Predictors.** The four norms, mean loss, leverage and cosines of
:mod:`gda_theory.verdict.dependence`, the size of the set, the break-even and the critical strength,
and the distance :math:`|w_D - w_R| / |w_R|`. The last three need the retrained model. They are
*circular* with some measures of harm. The break-even strength decides by definition whether
``limit`` and ``limit_weak`` are above 0. The critical strength decides whether they are infinite.
The distance is the denominator of every relative measure.

**Numbers.** Spearman's rank correlation in each cell, averaged over the cells of a source, then
over sources. The interval is a bootstrap over sources, and over forget sets within each cell
(:mod:`gda_theory.studies.ranks`). Also the partial correlation given the mean forget loss, and, in
cells that join both sizes, given the size too. All pairs of predictor and harm are shown. The
intervals are not corrected for their number.

**Decision.** The harm *grows with* a norm if the interval of its correlation with the primary
measure is above 0. The norm *adds to the mean forget loss* if that of the partial correlation is.

How long the budget is was set on the data set wine, which is not a part of the study.
"""
