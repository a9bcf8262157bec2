"""ADQL: asynchronous distributed Q-learning."""
