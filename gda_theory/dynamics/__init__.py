"""What does the iteration do? Finite steps, flows, outcomes and their causes."""
