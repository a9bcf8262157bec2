"""The deployables of ADQL: wiring only."""
