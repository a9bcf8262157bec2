"""Dashboards as PNG: found, asked for, drawn, and refused in one line where that cannot be."""

import tomllib
from pathlib import Path

import matplotlib.image
import pytest

from adql.errors import InputError, MissingExtraError
from adql_services import cli
from adql_services.dashboard import boards, drawing, render
from adql_services.dashboard.boards import Panel, Query, read_board
from adql_services.dashboard.curves import Curve, curves
from adql_services.dashboard.prometheus import Prometheus, Series, Span
from tests.dashboard.prometheus_double import answering, matrix, saying
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
SPAN = Span(100.0, 160.0, 1.0)
POINTS = [(100.0 + second, float(second)) for second in range(60)]


def panel(kind: str = "timeseries", *queries: Query, unit: str = "none") -> Panel:
    return Panel(kind, "Title", unit, queries, 0, 0, 8, 8, 0.0)


def prometheus(path: str, parameters: dict[str, str]) -> tuple[int, bytes]:
    """Two learners whatever is asked for; buckets where they are added up by ``le``."""
    if "sum by (le)" in parameters["query"]:
        return 200, matrix(
            *(({"le": le}, [(t, v * n) for t, v in POINTS]) for n, le in enumerate(("0.0", "1.0", "+Inf")))
        )
    return 200, matrix(*(({"pod": f"learner-{n}", "activity": "push"}, POINTS) for n in range(2)))


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Returns the one line with which a command is refused."""
    assert cli.main(["dashboard", "render", *map(str, words)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_both_dashboards_are_drawn_and_named(tmp_path, capsys):
    with answering(prometheus) as url:
        assert cli.main(["dashboard", "render", str(tmp_path / "new"), "--prometheus", f"{url}/"]) == 0
    written = capsys.readouterr().out.splitlines()
    assert written == [str(tmp_path / "new" / f"{name}.png") for name in ("learning", "asynchrony")]
    for file in written:
        height, width, _ = matplotlib.image.imread(file).shape
        assert (width, height) > (1200, 1200)


def test_variables_are_filled_in_and_a_name_is_taken_letter_by_letter(tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "save", lambda *drawn: None)
    asked = []

    def listening(path, parameters):
        asked.append(parameters["query"])
        return prometheus(path, parameters)

    with answering(listening) as url:
        assert render.render(tmp_path, url, 2.0, "a.b", None) == 0
    assert asked[0].endswith("[7200s]")
    assert all('namespace=~"a\\\\.b", app_kubernetes_io_instance=~".*"' in query for query in asked)
    assert not any("$" in query for query in asked)
    assert "rate(adql_episodes_total" in str(asked) and "[4000ms]" in str(asked)


def test_pod_is_left_out_of_the_legend_where_there_is_only_one():
    asked = panel("timeseries", Query("up", "mean {{pod}}"))
    for pods, names in ((["a"], ["mean"]), (["a", "b"], ["mean a", "mean b"])):
        with answering(
            lambda path, parameters, pods=pods: (200, matrix(*(({"pod": pod}, POINTS) for pod in pods)))
        ) as url:
            assert [curve.name for curve in curves(asked, Prometheus(url), {}, SPAN)] == names


def test_points_that_are_not_finite_are_left_out():
    with answering(lambda path, parameters: (200, matrix(({}, [(1.0, float("nan")), (2.0, 3.0)])))) as url:
        assert Prometheus(url).over("up", SPAN) == [Series({}, (2.0,), (3.0,))]


def lines_of(figure) -> list[str]:
    return [line.get_label() for axes in figure.axes for line in axes.get_lines()]


def drawn(one: Panel, *found: Curve):
    return drawing._draw(boards.Board("Board", (one,)), {one: found}, SPAN)


def test_goal_is_dashed_and_the_curves_are_not():
    curve = Curve("mean", [100.0, 101.0], [1.0, 2.0])
    figure = drawn(panel(), curve, Curve("goal", [100.0, 101.0], [3.0, 3.0]))
    styles = {line.get_label(): line.get_linestyle() for line in figure.axes[0].get_lines()}
    assert styles == {"mean": "-", "goal": "--"}


@pytest.mark.parametrize(
    ("found", "text"), [([], "no data"), ([Curve("refused", [100.0, 101.0], [0.0, 0.0])], "0 throughout")]
)
def test_panel_without_anything_to_see_says_so(found, text):
    figure = drawn(panel(), *found)
    assert [said.get_text() for said in figure.axes[0].texts] == [text]


def test_status_is_the_name_of_the_series_that_lasts_and_a_value_that_ended_is_a_dash():
    running, over = Curve("running", [100.0, 150.0], [1.0, 1.0]), Curve("reached", [151.0, 160.0], [1.0, 1.0])
    assert drawn(panel("stat"), running, over).axes[0].texts[0].get_text() == "reached"
    assert drawn(panel("stat", unit="s"), running).axes[0].texts[0].get_text() == "–"
    assert drawn(panel("stat", unit="s"), Curve("", [160.0], [90.0])).axes[0].texts[0].get_text() == "1.5 min"


def test_heat_map_shows_each_bucket_less_the_one_below_it_up_to_the_last_that_has_something():
    times = [100.0, 101.0]
    figure = drawn(
        panel("heatmap"),
        Curve("+Inf", times, [5.0, 5.0]),
        Curve("0.0", times, [2.0, 2.0]),
        Curve("1.0", times, [5.0, 5.0]),
    )
    (mesh,) = figure.axes[0].collections
    assert mesh.get_array()[:, :2].tolist() == [[2.0, 2.0], [3.0, 3.0]]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["≤ 0", "≤ 1"]


def test_heat_map_shows_nothing_where_a_bucket_has_no_value():
    figure = drawn(
        panel("heatmap"),
        Curve("0.0", [100.0, 101.0, 140.0], [2.0, 2.0, 2.0]),
        Curve("1.0", [101.001, 103.0, 140.0, 500.0], [5.0, 5.0, 5.0, 5.0]),
    )
    (mesh,) = figure.axes[0].collections
    shown = mesh.get_array()
    assert shown.shape == (2, 61)
    assert [[column, row.compressed().tolist()] for column, row in enumerate(shown.T) if row.count()] == [
        [0, [2.0]],
        [1, [2.0, 3.0]],
        [40, [2.0, 3.0]],
    ]


@pytest.mark.parametrize("names", [[""], ["", "1.0"]])
def test_series_that_is_no_bucket_is_left_out_of_a_heat_map(names):
    figure = drawn(panel("heatmap"), *(Curve(name, [100.0], [1.0]) for name in names))
    assert [said.get_text() for said in figure.axes[0].texts] == ([] if "1.0" in names else ["no data"])


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("s", 0.25, "250 ms"),
        ("s", 7200.0, "2 h"),
        ("s", 0.0, "0"),
        ("none", 12500.0, "12,500"),
        ("short", 2.5e6, "2.5 M"),
        ("cps", 12.0, "12/s"),
        ("Bps", 2e6, "2 MB/s"),
    ],
)
def test_numbers_are_written_in_the_unit_of_the_panel(unit, value, text):
    assert drawing._formatter(unit)(value, 0) == text


def test_nobody_at_the_address_is_refused_in_one_line(tmp_path, capsys):
    url = f"http://127.0.0.1:{free_port()}"
    line = refused(capsys, tmp_path, "--prometheus", url)
    assert f"no answer from --prometheus {url}" in line and "Connection refused" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "part"),
    [((200, b"<html>"), "no JSON"), ((200, b"{}"), "another form"), ((404, b""), "status 404")],
)
def test_who_is_no_prometheus_is_refused_in_one_line(tmp_path, capsys, answer, part):
    with answering(lambda path, parameters: answer) as url:
        assert part in refused(capsys, tmp_path, "--prometheus", url)


@pytest.mark.parametrize("said", [b"-ERR unknown command\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"])
def test_who_speaks_no_http_or_hangs_up_is_refused_in_one_line(tmp_path, capsys, said):
    with saying(said) as url:
        assert "its answer is no HTTP, or not whole" in refused(capsys, tmp_path, "--prometheus", url)


def test_prometheus_that_says_why_it_refuses_is_quoted():
    with (
        answering(lambda path, parameters: (422, b'{"error": "query timed out"}')) as url,
        pytest.raises(InputError, match="query timed out"),
    ):
        Prometheus(url).over("up", SPAN)


def test_port_that_is_none_is_refused_in_one_line(tmp_path, capsys):
    assert "nonnumeric port: 'abc'" in refused(capsys, tmp_path, "--prometheus", "http://localhost:abc")


@pytest.mark.parametrize("url", ["localhost:9090", "file:///etc/passwd", ""])
def test_address_that_is_none_is_refused_in_one_line(tmp_path, capsys, url):
    assert "an address begins with http:// or https://" in refused(capsys, tmp_path, "--prometheus", url)


def test_prometheus_without_a_run_is_refused_with_what_to_change(tmp_path, capsys):
    with answering(lambda path, parameters: (200, matrix())) as url:
        line = refused(capsys, tmp_path, "--prometheus", url, "--hours", "3")
    assert "no run in the last 3 h" in line and "more --hours" in line


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "1e9"])
def test_hours_out_of_bounds_are_refused_in_one_line(tmp_path, capsys, hours):
    with answering(prometheus) as url:
        assert "--hours" in refused(capsys, tmp_path, "--prometheus", url, "--hours", hours)


def test_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    with answering(prometheus) as url:
        for folder in (tmp_path / "no" / "such", tmp_path / "file"):
            assert f"cannot write to {folder}" in refused(capsys, folder, "--prometheus", url)


def test_file_that_cannot_be_written_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "learning.png").mkdir()
    with answering(prometheus) as url:
        assert f"cannot write {tmp_path}/learning.png" in refused(capsys, tmp_path, "--prometheus", url)


def test_missing_matplotlib_is_named_with_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "adql_services.dashboard.drawing", None)
    with pytest.raises(MissingExtraError, match=r"needs matplotlib.*pip install '\.\[render\]'"):
        render.render(tmp_path, "http://localhost:1", 1.0, None, None)


def test_installation_without_dashboards_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(boards, "CHECKOUT", tmp_path)
    with pytest.raises(InputError, match="this installation has no dashboards"):
        read_board("learning")


def test_installed_package_has_the_dashboards_where_they_are_looked_for(tmp_path, monkeypatch):
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    place = boards.INSTALLED.relative_to(ROOT / "services").as_posix()
    assert wheel["sources"]["charts/adql/dashboards"] == place
    assert "charts/adql/dashboards" in wheel["only-include"]
    monkeypatch.setattr(boards, "INSTALLED", ROOT / "charts/adql/dashboards")
    monkeypatch.setattr(boards, "CHECKOUT", tmp_path)
    assert read_board("asynchrony").title == "ADQL / Asynchrony"


def test_help_says_that_grafana_does_not_draw_it(capsys):
    with pytest.raises(SystemExit):
        cli.main(["dashboard", "render", "--help"])
    assert "with matplotlib, not with Grafana" in " ".join(capsys.readouterr().out.split())
