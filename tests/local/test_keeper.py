"""The embedded store of a local run."""

import pytest

from adql.config import ParameterServerSettings, load_settings, specification_from
from adql.parameters.size import RECORD_BYTES, state_bytes
from adql_services.local.crew import Crew
from adql_services.local.run_directory import RunDirectory
from adql_services.parameter_server.opening import open_run


@pytest.mark.parametrize("rule", ["average", "gradient", "delta"])
def test_embedded_store_is_durable_enough_for_a_state_above_16_mb(tmp_path, monkeypatch, rule):
    specification = specification_from(
        {
            "environment": {"signature": {"observation_shape": [4], "actions": 2}},
            "network": {"hidden": [2048, 2048]},
            "update": {"rule": rule},
        }
    )
    monkeypatch.delenv("ADQL_REDIS_URL", raising=False)
    size = state_bytes(specification)
    crew = Crew(specification, RunDirectory.create(tmp_path / "run", specification, ["test"]), print)
    try:
        url, _ = crew.start_store()
        own = {"redis_url": url, "directory": str(tmp_path / "volume"), "auth": False}
        opened = open_run(specification, load_settings(ParameterServerSettings, own, {}))
        assert opened.state.nbytes + RECORD_BYTES == size > 16 * 2**20
        opened.store.close()
    finally:
        crew.wait(deadline=0.0)
