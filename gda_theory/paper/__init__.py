"""Other results of the paper: the trap of Sec. 5.2, random forget sets, and App. J."""
