"""What all dashboards share: one data source that is chosen above, panels with title, unit and description."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
    TimePicker,
)
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DynamicConfigValue,
    VariableOption,
    VariableRefresh,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
HEIGHT = 8
EVERYTHING = VariableOption(selected=True, text="All", value="$__all")
ONE_PROCESS = "adql_version"
"""The metric whose labels are the choices of namespace and release: each run has one of it."""

Builder = timeseries.Panel | heatmap.Panel | stat.Panel


@dataclass(frozen=True)
class Query:
    """A PromQL expression, and how Grafana names each series of its answer."""

    expression: str
    legend: str = "{{pod}}"


@dataclass(frozen=True)
class Panel:
    """A curve a series, unless a subclass says otherwise."""

    title: str
    unit: str
    description: str
    queries: Sequence[Query]
    width: int = 8
    stacked: bool = False
    lowest: float | None = 0.0
    """Of the axis; None where a value may be negative."""

    def target(self, query: Query) -> prometheus.Dataquery:
        """Returns ``query`` over the time that is shown."""
        return prometheus.Dataquery().expr(query.expression).legend_format(query.legend).datasource(SOURCE).range()

    def builder(self) -> Builder:
        """Returns the panel without number and place."""
        panel = timeseries.Panel().legend(_legend()).tooltip(_tooltip()).line_width(1.5).fill_opacity(6)
        panel = panel.show_points(VisibilityMode.AUTO).span_nulls(60_000)
        if self.lowest is not None:
            panel = panel.min(self.lowest)
        if self.stacked:
            panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A")).fill_opacity(40)
        return panel.override_by_regexp("^(goal|target|bound|capacity|budget|limit)", _DASHED)


@dataclass(frozen=True)
class HeatMap(Panel):
    """The buckets of a histogram over time."""

    def builder(self) -> Builder:
        """Returns the panel without number and place."""
        colour = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(64).exponent(0.5)
        return heatmap.Panel().calculate(False).color(colour).y_axis(heatmap.YAxisConfig().unit(self.unit))

    def target(self, query: Query) -> prometheus.Dataquery:
        """Returns ``query``, whose buckets count those below them too."""
        return super().target(query).format(PromQueryFormat.HEATMAP)


@dataclass(frozen=True)
class Stat(Panel):
    """The newest value in large letters; the name of the series alone where ``names`` says so."""

    names: bool = False

    def target(self, query: Query) -> prometheus.Dataquery:
        """Returns ``query`` as of now: series that have ended are left out."""
        return super().target(query).instant()

    def builder(self) -> Builder:
        """Returns the panel without number and place."""
        mode = BigValueTextMode.NAME if self.names else BigValueTextMode.VALUE
        panel = stat.Panel().text_mode(mode).color_mode(BigValueColorMode.NONE).graph_mode(BigValueGraphMode.NONE)
        return panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"])).no_value("–")


@dataclass(frozen=True)
class Section:
    """Panels under one heading, which is the question that they answer."""

    question: str
    panels: Sequence[Panel]


def dashboard(name: str, description: str, sections: Sequence[Section]) -> Dashboard:
    """Returns the dashboard ``ADQL / name``; panels stand side by side, and are numbered in their order."""
    board = _frame(name, description)
    number = 1
    for section in sections:
        board = board.with_row(Row(section.question).id(number))
        number += 1
        for panel in section.panels:
            board = board.with_panel(_placed(panel).id(number))
            number += 1
    return board


def _placed(panel: Panel) -> Builder:
    built = panel.builder().title(panel.title).description(panel.description).unit(panel.unit)
    for number, query in enumerate(panel.queries):
        built = built.with_target(panel.target(query).ref_id(chr(ord("A") + number)))
    return built.datasource(SOURCE).span(panel.width).height(HEIGHT)


def _frame(name: str, description: str) -> Dashboard:
    board = Dashboard(f"ADQL / {name}").uid(f"adql-{name.lower()}").description(description).tags(["adql"])
    board = board.readonly().time("now-30m", "now").refresh("10s").tooltip(DashboardCursorSync.CROSSHAIR)
    board = board.timezone("browser").timepicker(TimePicker().refresh_intervals(["5s", "10s", "30s", "1m", "5m"]))
    others = DashboardLink("ADQL").type(DashboardLinkType.DASHBOARDS).tags(["adql"]).icon("external link")
    board = board.link(others.include_vars(True).keep_time(True))
    board = board.with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
    board = board.with_variable(_labels("namespace", "Namespace", "namespace", ONE_PROCESS))
    chosen = f'{ONE_PROCESS}{{namespace=~"$namespace"}}'
    return board.with_variable(_labels("release", "Release", "app_kubernetes_io_instance", chosen))


def _labels(name: str, title: str, label: str, metric: str) -> QueryVariable:
    variable = QueryVariable(name).label(title).query(f"label_values({metric}, {label})").datasource(SOURCE)
    variable = variable.include_all(True).all_value(".*").current(EVERYTHING).multi(False)
    return variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    return legend.show_legend(True).calcs([])


def _tooltip() -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI)


_DASHED = [
    DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 6]}),
    DynamicConfigValue(id_val="custom.fillOpacity", value=0),
    DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": "text"}),
]
