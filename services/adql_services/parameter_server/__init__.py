"""The parameter server: thin routes over the state machine, and the background work that makes it durable."""
