"""Whole studies: their protocols, their runs, and the numbers that figures draw."""
