"""What compose gives Prometheus and Grafana names services, files and folders that there are."""

import yaml

from tests.deploy.promtool import promtool
from tests.deploy.shipped import ROOT

PROMETHEUS = ROOT / "docker" / "prometheus" / "prometheus.yml"
PROVISIONING = ROOT / "docker" / "grafana" / "provisioning"
JOBS = {job["job_name"]: job for job in yaml.safe_load(PROMETHEUS.read_text(encoding="utf-8"))["scrape_configs"]}


def test_configuration_of_prometheus_passes_promtool():
    assert "SUCCESS" in promtool("check", "config", str(PROMETHEUS))


def test_every_service_is_scraped_at_its_side_port_under_its_own_job():
    targets = {name: job["static_configs"][0]["targets"] for name, job in JOBS.items() if name != "learner"}
    assert targets == {
        "parameter-server": ["parameter-server:8421"],
        "replay": ["replay:8431"],
        "evaluator": ["evaluator:8451"],
    }


def test_learners_are_found_by_name_however_many_there_are():
    found = JOBS["learner"]["dns_sd_configs"][0]
    assert (found["names"], found["type"], found["port"]) == (["learner"], "A", 8441)


def test_every_target_gets_the_label_that_legends_show():
    assert all([rule["target_label"] for rule in job["relabel_configs"]] == ["pod"] for job in JOBS.values())


def test_grafana_has_prometheus_as_its_only_source_with_the_interval_of_its_scrapes():
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://prometheus:9090", True)
    assert source["jsonData"]["timeInterval"] == yaml.safe_load(PROMETHEUS.read_text())["global"]["scrape_interval"]


def test_grafana_reads_dashboards_that_nobody_can_change_there():
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "adql.yaml").read_text())["providers"]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
    assert provider["options"]["path"] == "/etc/adql/dashboards"
