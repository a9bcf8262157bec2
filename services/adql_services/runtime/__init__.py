"""What every service shares: guarded application, bulk bodies, side port, tokens, serving, stopping.

Nothing is imported here: a learner that needs the side port alone does not load a web framework.
"""
