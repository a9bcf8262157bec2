"""The agent: networks, losses, the learner and what it exchanges, the actor and its environments."""
