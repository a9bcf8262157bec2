"""Prints what the project depends on, and what the extras named on the command line add, one requirement a line."""

import sys
import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
extras = [requirement for extra in sys.argv[1:] for requirement in project["optional-dependencies"][extra]]
sys.stdout.write("\n".join(extras or project["dependencies"]) + "\n")
