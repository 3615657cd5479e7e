"""The documentation site: its pages, and the program that builds it."""
