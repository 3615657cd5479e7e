"""Terminal tables, strict JSON, and how results print."""
