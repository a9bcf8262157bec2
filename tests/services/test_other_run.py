"""A server that comes back with another run of the same name: what was learned for the former one is not told to it."""

import shutil

import pytest

from adql.config import specification_from
from adql.wire import routes
from tests.services.learner_process import running
from tests.services.metrics_page import scrape
from tests.services.parameter_process import ServerProcess
from tests.store_process import running_store
from tests.waiting import wait_until

pytestmark = pytest.mark.system
RUN = specification_from(
    {
        "environment": {"signature": {"observation_shape": [4], "actions": 2}},
        "network": {"hidden": [16]},
        "algorithm": {"batch_size": 8},
        "replay": {"min_size": 100, "samples_per_insert": None},
    }
)


@pytest.mark.parametrize("role", ["both", "actor"])
def test_learner_drops_what_it_has_and_takes_part_in_the_other_run(tmp_path, redis_url, role):
    with running(tmp_path, redis_url, RUN, "swapped") as services, services.start(role) as learner:
        learner.until_ready()
        wait_until(lambda: services.state["environment_steps"] > 500)
        before, former = services.state, services.server
        former.kill()
        shutil.rmtree(former.directory / "volume")
        with (
            running_store(tmp_path / "other") as store,
            ServerProcess(former.directory, former.specification, store.url) as other,
        ):
            wait_until(lambda: other.get(routes.RUN)["state"]["environment_steps"] > 500, what=learner.log)
            assert other.get(routes.RUN)["state"]["run_id"] != before["run_id"]
            assert scrape(learner.side).value("adql_run_changes_total") == 1
            assert "parameters, target network and optimizer are dropped" in learner.log()
            assert learner.end() == 0
