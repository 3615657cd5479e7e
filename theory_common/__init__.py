"""What both theories share: checks at the door, the working precision, tables."""
