"""What else does the paper say? The trap of Sec. 5.2, random forget sets, App. J."""
