r"""Does the convex model of the last layer predict which forget sets descent-ascent harms? A study.

The protocol was fixed before the first run of the study.

**Data.** scikit-learn's digits, and Fashion-MNIST pooled to 14 x 14 pixels. Each is split at random
three times (seeds 11, 12, 13) into 1,000 training rows and about 800 validation rows. One training
label in ten is flipped. The three splits of the digits share their images.

**Networks.** One hidden layer of 128 units, as on the page networks. For each data set and split
there are 40 pretrained networks, and for each forget set 40 retrained ones, the *oracles*. One more
pretrained network is *diagnosed*. It chooses the forget sets and gives all predictors, as a user
has one network. Its unlearning is not measured.

**Forget sets.** 44 sets of 10 rows for each data set and split. Their kinds: 8 *random*. 6
*flipped*: random rows with a flipped label. 6 *neighbours*: a random row and those nearest to it.
5 of *one class*. 5 *mixed*, with 1, 2, 3, 5 and 7 flipped rows. 4 *component*: the top and the
bottom of the first two principal components of the neural tangent kernel. 4 *easy*: from the
quarter of rows of the smallest loss. 3 *high loss*: from the twentieth of the largest loss. 3 *high
loss, clean*: the same of rows without a flipped label. A *cell* is one data set in one split.

**Runs.** Descent-ascent at four learning rates: 0.005, 0.02, 0.05 and 0.1. Each of the first five
epochs raises the loss of F, then lowers that of R. Five more epochs lower the loss of R only. A run
is judged after epoch 5 and after epoch 10. So there are eight runs for each forget set.

**Harm.** The rise of a mean over rows, from the pretrained networks to those after the run:

* of KLoM against the oracles, estimated for normal laws (without bias, capped at 1,000 a row),
* of KLoM by the published histogram,
* of the cross-entropy.

Each is taken on the validation rows and on the retained rows. The *primary* harm is the first, on
validation rows, after epoch 5. It is primary because its two halves of networks agreed best in a
trial on split 21, which is not part of the study. In that trial 18 sets of each data set were seen,
with the correlations of the harm with the mean forget loss, and the gains of always running.

**Predictors.** Of the diagnosed network itself: the mean loss of the forgotten rows. All others
come from a convex model of its last layer. That is multinomial logistic regression on the first 30
principal components of what the layer receives, and a bias, with ridge 0.01. They are: the
break-even strength, exact and to first order, the critical strength, the relative distance of the
pretrained from the retrained weights, four norms of the cross-influence, the mean leverage, and the
mean cosine between gradients of forgotten and kept rows
(:mod:`gda_theory.studies.bridge.last_layer`).

**Numbers.** Spearman's rank correlation within each cell, averaged over the splits, for each data
set apart. Also the partial correlation given the mean forget loss. The 95 % interval is a nested
bootstrap: splits are drawn with replacement, and forget sets within each drawn split
(:mod:`gda_theory.studies.ranks`). All pairs are shown, and no interval is corrected for their
number. The *ceiling* of a correlation is the square root of the reliability of the harm: the rank
correlation r between the harms that both halves of the networks give, as 2r / (1 + r).

**Hypotheses**, from a pilot of 16 sets on one split of the digits, where harm was the published
KLoM at rate 0.02 after epoch 5:

1. At rate 0.02 the harm grows with the mean forget loss (pilot: 0.90).
2. At rate 0.02 it falls with the exact break-even strength (pilot: -0.72).
3. Break-even adds nothing, given the forget loss (pilot: partial correlation -0.15).
4. At rate 0.005 the signs of 1 and 2 are reversed.
5. The first-order break-even strength predicts nothing.

Number 1, 2 and 4 *hold* on a data set if the interval excludes 0 on the side that is named, and
*fail* if it excludes 0 on the other side. Number 3 and 5 hold if the interval contains 0. Each is
stated for the primary and for the published harm. A predictor *predicts* a run if its interval
excludes 0 on the same side on both data sets. It *adds* to the forget loss if that is so for the
partial correlation.

**The calibrated question.** For each run: use it or not? The *gain* of using it is the fall of the
published KLoM, averaged over rows within each of F, R and validation rows, then over these three.
The gain of doing nothing is 0. A *rule* says: use the run where one predictor is below (or above) a
threshold. From all predictors, sides and thresholds, always and never included, the rule of the
largest mean gain on the digits is taken. The answer for a run is the mean gain of this rule on
Fashion-MNIST. Its interval comes from the same nested bootstrap of both data sets, in which the
rule is chosen anew each time. The rule is *better than never* if the interval of its gain is above
0. It is *of use* if it is also better than the better one of always and never on Fashion-MNIST.
With eight runs the intervals hold 1 - 0.05 / 8 = 99.4 %. Secondary: the same with predictors as
ranks within their cell, with KLoM of normal laws, and the best rule of each predictor alone.
"""
