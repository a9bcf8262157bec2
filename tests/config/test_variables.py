"""A misspelt ADQL_* variable is refused like a misspelt key; what others put into the environment is left alone."""

from functools import partial

import pytest

from adql.config import LearnerSettings, RunSpecification, load_settings, load_specification
from adql.errors import ConfigError


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("ADQL_TRAINNING__LEARNERS", "did you mean ADQL_TRAINING__LEARNERS"),
        ("ADQL_LEARNERS__TRAINING", "first parts are ALGORITHM, DURABILITY, "),
        ("ADQL_ALGORITM__TARGET__TAU", "did you mean ADQL_ALGORITHM__TARGET__TAU"),
        ("ADQL_TRAINING_LEARNERS", "did you mean ADQL_TRAINING__LEARNERS"),
        ("ADQL_REPLAY_CAPACITY", "did you mean ADQL_REPLAY__CAPACITY"),
        ("ADQL_REDIS_ULR", "did you mean ADQL_REDIS_URL"),
        ("ADQL_REPLAYURL", "did you mean ADQL_REPLAY_URL"),
        ("ADQL_REDIS_PASSWORD", "did you mean ADQL_REDIS_PASSWORD_FILE"),
    ],
)
def test_misspelt_variable_is_refused_with_the_name_that_is_meant(variable: str, meant: str):
    for load in (partial(load_specification, None, []), partial(load_settings, LearnerSettings, {})):
        with pytest.raises(ConfigError) as caught:
            load({variable: "8"})
        assert str(caught.value).startswith(f"{variable}: unknown variable; ") and meant in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("service", ["ADQL", "ADQL_REPLAY", "ADQL_PARAMETER_SERVER", "ADQL_SIDE"])
@pytest.mark.parametrize(
    "ending",
    [
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_HTTP",
        "PORT",
        "PORT_8430_TCP",
        "PORT_8430_TCP_PROTO",
        "PORT_8430_TCP_PORT",
        "PORT_8430_TCP_ADDR",
    ],
)
def test_kubernetes_links_to_services_are_left_alone(service: str, ending: str):
    environ = {f"{service}_{ending}": "tcp://10.0.0.1:8430"}
    assert load_specification(None, [], environ) == RunSpecification()
    assert load_settings(LearnerSettings, {}, environ) == LearnerSettings()


@pytest.mark.parametrize("variable", ["ADQL_IMAGE_TAG", "ADQL_HOME", "ADQLX__Y", "MY_ADQL_REPLAY__CAPASITY"])
def test_variable_that_is_like_no_name_is_left_to_others(variable: str):
    assert load_specification(None, [], {variable: "8"}) == RunSpecification()


def test_variables_of_other_services_are_known():
    environ = {"ADQL_LISTEN": "unix:/l", "ADQL_REDIS_URL": "redis://r", "ADQL_TRAINING__LEARNERS": "3"}
    assert load_settings(LearnerSettings, {}, environ) == LearnerSettings()
