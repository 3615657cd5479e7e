"""The figures: ``python -m figures`` computes and draws them all. One module is one figure.

Each module offers:

* ``TITLE`` (a text), ``CAPTION`` (plain sentences, first what to see), and ``LEMMAS`` (a list of
  texts: where the paper says it);
* ``compute(preset, **parameters)``: a dict of arrays, numbers, texts and dicts of them. ``preset``
  is ``"quick"`` or ``"paper"``. It asks the libraries. If it takes ``folder``, it may keep finished
  parts there (a path), and goes on from them after an interruption;
* ``draw(figure, data)``: makes axes in a Matplotlib figure and draws ``data``. It computes nothing;
* ``claims(data)``: triples (claim, what the paper says, what is found here). The last is computed
  from ``data``;
* optionally ``SIZE``: width and height in inches;
* optionally ``PARAMETERS``: a literal dict of names and default values (numbers, texts, tuples of
  numbers of one kind). ``--set NAME=VALUE`` changes them, and a caption may name them in braces.

``draw`` and ``claims`` get what a reader of the stored JSON gets: NumPy arrays, Python numbers,
dicts, and the parameters as ``data["parameters"]``. So drawing again from the file gives the same
picture.
A new figure is a new file in this folder. ``catalogue.ORDER`` says where it stands.
"""
