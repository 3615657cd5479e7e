"""The benchmarks: ``python -m benchmarks`` measures ours and theirs side by side, in one run, interleaved, and compares medians.

One module is one piece of work. It offers ``rows()``, which yields a dict for each row of the table, as soon as it is measured:

* ``work``, ``against``: what is done, and what it is compared with;
* ``ours_seconds``, ``theirs_seconds``, ``ratio`` (theirs over ours), ``target`` (the ratio that is wanted at least; where the target is
  no ratio a text, with ``met=True`` or ``False`` beside it; absent where there is none);
* ``compile_seconds``: the first call's extra time; ``limit``: the hardware's limit and how far we are from it; ``growth``: how cost grows.

Only the first two are asked of every row.
"""
