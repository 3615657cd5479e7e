"""Many rows: in equal blocks in compiled code, in chunks over cores and devices."""
