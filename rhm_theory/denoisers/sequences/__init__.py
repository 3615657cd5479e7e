"""The forward-backward experiment on sequences of any kind: text, or those of a grammar."""
