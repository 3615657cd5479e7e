"""One module for each command: its parser (``add``) and what it does."""
