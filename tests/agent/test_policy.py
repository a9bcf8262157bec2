"""A stored policy is loaded by its file alone."""

import json
import re

import numpy as np
import pytest
from safetensors.numpy import save_file

from adql.agent.networks import make_network
from adql.agent.policy import load_policy
from adql.config import EnvironmentSettings, NetworkSettings
from adql.errors import CheckpointError, InputError
from adql.parameters.policies import CHECKSUM, checksum_of

SIGNATURE = {"observations": 3, "actions": 2}
KEYS = {"environment": {"id": "Toy-v0", "signature": SIGNATURE}, "network": {"kind": "tabular"}}


@pytest.fixture
def stored(tmp_path):
    """A table whose best action is 1 in the second state alone."""

    def store(table=((1, 0), (0, 1), (1, 0)), metadata=None):
        network = make_network(NetworkSettings(kind="tabular"), EnvironmentSettings(signature=SIGNATURE).signature)
        vector = np.asarray(table, np.float32).ravel()
        known = {"keys": json.dumps(KEYS), CHECKSUM: checksum_of(vector)} if metadata is None else metadata
        save_file(network.manifest.views(vector), tmp_path / "policy", known)
        return tmp_path / "policy"

    return store


def test_policy_chooses_the_greedy_action_of_one_observation(stored):
    policy = load_policy(str(stored()))
    assert [policy(np.int64(state)) for state in range(3)] == [0, 1, 0]
    assert policy.environment.id == "Toy-v0"


@pytest.mark.parametrize("shape", [(8,), (3, 1)])
def test_observation_of_another_shape_is_refused_with_both_shapes(stored, shape):
    with pytest.raises(InputError, match=rf"shape {re.escape(str(shape))}, the policy reads one of \(\)"):
        load_policy(stored())(np.zeros(shape, np.float32))


def test_folder_in_place_of_a_policy_names_the_file_in_it(tmp_path):
    with pytest.raises(CheckpointError, match=r"is a folder; name a file in it, such as .*policy-best\.safetensors"):
        load_policy(tmp_path)


def test_file_that_does_not_say_its_run_is_refused(stored):
    unresolved = json.dumps({"environment": {"id": "Toy-v0"}, "network": KEYS["network"]})
    for metadata in ({}, {"keys": "[]"}, {"keys": json.dumps({"environment": 1})}, {"keys": unresolved}):
        with pytest.raises(CheckpointError, match="does not say what run it is of"):
            load_policy(stored(metadata=metadata))


def test_policy_that_is_not_finite_or_of_another_shape_is_refused(stored):
    with pytest.raises(CheckpointError, match="not finite"):
        load_policy(stored(table=((1, 0), (0, np.nan), (1, 0))))
    other = {
        "environment": {"id": "Toy-v0", "signature": {"observations": 4, "actions": 2}},
        "network": KEYS["network"],
    }
    with pytest.raises(CheckpointError, match="it is damaged"):
        load_policy(stored(metadata={"keys": json.dumps(other)}))


def test_policy_whose_numbers_were_overwritten_or_have_no_checksum_is_refused(stored):
    file = stored()
    whole = file.read_bytes()
    file.write_bytes(whole[:-4] + np.float32(0.5).tobytes())
    with pytest.raises(CheckpointError, match=r"checksum.*damaged.*the other --policy") as refused:
        load_policy(file)
    assert "\n" not in str(refused.value) and refused.value.exit_code == 2
    with pytest.raises(CheckpointError, match="written was none"):
        load_policy(stored(metadata={"keys": json.dumps(KEYS)}))
