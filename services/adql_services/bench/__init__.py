"""Measures services under load: real processes, started as ``adql train`` starts them."""
