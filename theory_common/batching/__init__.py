"""Many rows: in equal blocks inside compiled code, in chunks over cores and devices."""
