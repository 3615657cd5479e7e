"""The figures: ``python -m figures`` computes and draws them all. One module is one figure, and offers

* ``TITLE`` (text), ``CAPTION`` (plain sentences: what to see), ``LEMMAS`` (a list of texts: where the paper says it);
* ``compute(preset)``: a dict of arrays, numbers, texts and dicts of them; ``preset`` is ``"quick"`` or ``"paper"``. It asks the libraries;
* ``draw(figure, data)``: makes axes in a Matplotlib figure and draws ``data``. It computes nothing;
* ``claims(data)``: triples (claim, what the paper says, what is found here), the last computed from ``data``;
* optionally ``SIZE``: width and height in inches.

``draw`` and ``claims`` get what a reader of the stored JSON gets (NumPy arrays, Python numbers, dicts), so that drawing again from the file
gives the same picture to the last bit. A new figure is a new file in this folder; ``catalogue.ORDER`` says where it stands.
"""
