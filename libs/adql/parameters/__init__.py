"""The parameter server's mathematics and store: initial parameters, optimizers, update rules."""
