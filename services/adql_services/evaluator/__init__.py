"""The evaluator: plays greedy episodes of the versions that the parameter server sets aside."""
