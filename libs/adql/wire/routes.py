"""Paths, header names and media types: what both sides of the wire have to agree on."""

SESSIONS = "/v1/sessions"
"""POST registers; GET and DELETE with the session behind it; POST .../progress reports environment steps,
POST .../account training episodes and where the time went."""
PARAMETERS = "/v1/parameters"
"""GET pulls; ``wait`` makes it a long poll, If-None-Match names the version at hand."""
UPDATES = "/v1/updates"
"""POST pushes; ``durable=true`` answers after the commit."""
RUN = "/v1/run"
"""GET describes the run for people and summaries."""
EVALUATIONS = "/v1/evaluations"
"""GET lists, POST reports."""
NEXT_EVALUATION = "/v1/evaluations/next"
"""GET takes the next task; ``wait`` makes it a long poll."""

INSERT = "/v1/insert"
SAMPLE = "/v1/sample"
"""POST without a body: what is drawn counts as sampled, so that no proxy may repeat or keep it as it may a GET."""
PRIORITIES = "/v1/priorities"
RETURN = "/v1/return"
SNAPSHOT = "/v1/snapshot"
TABLE = "/v1/table"

OPENAPI = "/v1/openapi.json"
"""Every service describes its routes there, to whoever has a token."""

LIVEZ = "/livez"
READYZ = "/readyz"
METRICS = "/metrics"

STATE_HEADER = "adql-state"
"""Compact JSON of the run's state, on every answer of the parameter server below 400."""

BINARY = "application/vnd.adql"
JSON = "application/json"
PROBLEM_JSON = "application/problem+json"

MAX_WAIT_SECONDS = 30.0
"""Longest long poll that a server agrees to."""


def session(identifier: str) -> str:
    """Returns the path of one session."""
    return f"{SESSIONS}/{identifier}"


def progress(identifier: str) -> str:
    """Returns the path to which one session reports its environment steps."""
    return f"{SESSIONS}/{identifier}/progress"


def account(identifier: str) -> str:
    """Returns the path to which one session tells what it did."""
    return f"{SESSIONS}/{identifier}/account"
