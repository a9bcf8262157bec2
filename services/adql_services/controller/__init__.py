"""The controller: on Kubernetes, how many learners there are to be."""
