"""The benchmarks: ``python -m benchmarks`` measures ours and theirs side by side.

Both are measured in one run, in turn, and medians are compared. One module measures one kind of
work. It offers ``rows()``, which yields a dict for each row of the table as soon as it is measured:

* ``work``, ``against``: what is done, and what it is compared with;
* ``ours_seconds``, ``theirs_seconds`` and ``ratio``, theirs over ours;
* ``target``: the smallest ratio that is wanted, absent if there is none. A target that is no ratio
  is a text, and ``met`` says whether it was reached;
* ``compile_seconds``: how much longer the first call takes;
* ``limit``: what the hardware allows, and how far we are from it;
* ``growth``: how the cost grows with the size.

Every row needs the first two; the others are optional.
"""
