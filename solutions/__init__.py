"""The reference solutions: one ordinary, importable module per lab."""
