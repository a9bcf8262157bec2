"""The learner: one process that acts and learns."""
