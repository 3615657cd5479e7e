"""Sphinx's settings. ``python -m docs`` uses them on the sources that it has collected."""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

project = "gda-theory"
author = "The gda-theory authors"
release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "docs.docstrings",
    "docs.mathml",
    "docs.pictures",
]

# Pages
exclude_patterns = []
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True

# API reference
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
maximum_signature_line_length = 80
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_attr_annotations = False
napoleon_custom_sections = [
    ("Accuracy", "notes_style"),
    ("Claim", "notes_style"),
    ("Claims", "notes_style"),
    ("Domain", "notes_style"),
    ("Source", "notes_style"),
]

# HTML
html_theme = "furo"
html_title = "gda-theory"
html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
