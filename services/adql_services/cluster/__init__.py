"""A release of the chart seen from outside: the commands `adql k8s …` around what people type all day."""
