"""environment.frame_stack in the run specification."""

import pytest

from adql.config import config_hash, load_specification
from adql.errors import ConfigError

STACKED = "environment.signature={observation_shape: [4, 84, 84], observation_dtype: uint8, actions: 6, frame_stack: 4}"


def load(*assignments: str):
    return load_specification(None, assignments, {})


@pytest.mark.parametrize(
    ("assignments", "complaint"),
    [
        (["environment.frame_stack=1"], "environment.frame_stack=1: Input should be greater than or equal to 2"),
        (["environment.frame_stack=129"], "environment.frame_stack=129: Input should be less than or equal to 128"),
        ([STACKED], r"frame_stack None is not signature.frame_stack 4; remove the signature"),
        ([STACKED, "environment.frame_stack=3"], r"frame_stack 3 is not signature.frame_stack 4; remove the signature"),
        (
            ["environment.signature={actions: 2, observations: 9, frame_stack: 4}"],
            r"frame_stack 4 is not the first axis of observation_shape \[\]; remove the signature",
        ),
        (
            ["environment.signature={actions: 2, observation_shape: [3, 4], frame_stack: 4}"],
            r"frame_stack 4 is not the first axis of observation_shape \[3, 4\]; remove the signature",
        ),
    ],
)
def test_a_stack_that_cannot_be_is_refused_in_one_line(assignments, complaint):
    with pytest.raises(ConfigError, match=complaint) as caught:
        load(*assignments)
    assert "\n" not in str(caught.value)


def test_a_stack_is_part_of_what_defines_a_run():
    hashes = {config_hash(load(*keys)) for keys in ([], ["environment.frame_stack=2"], ["environment.frame_stack=4"])}
    assert len(hashes) == 3
    assert load(STACKED, "environment.frame_stack=4").environment.frame_stack == 4
