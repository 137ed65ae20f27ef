"""A workspace on W&B that is laid out for reviewing runs: `python -m colorization.wandb_workspace ENTITY PROJECT`.

Needs the extra `wandb`, and to be saved an account. It is a view of the project; the runs stay as they are.
"""

import sys
from typing import Any

import wandb

from colorization.errors import ConfigError, first_line

# Metrics that are shown beside the all-gray baseline's.
_BESIDE_GRAY = ("psnr", "ssim", "ciede2000")


def build(entity: str, project: str) -> Any:
    """The workspace, a `wandb_workspaces.workspaces.Workspace`, which is on W&B once its `save` is called.

    Args:
        entity: the user or team that the project belongs to.
        project: the project.

    Raises:
        ConfigError: the package wandb-workspaces is missing.
    """
    try:
        import wandb_workspaces.reports.v2 as wr
        import wandb_workspaces.workspaces as ws
    except ImportError:
        raise ConfigError("a workspace needs the package wandb-workspaces: pip install 'colorization[wandb]'") from None

    def over(axis: str, metrics: list[Any], title: str) -> wr.LinePlot:
        return wr.LinePlot(title=title, x=axis, y=metrics)

    steps, pictures = "trainer/global_step", "pictures"
    sections = [
        ws.Section(
            name="Pictures",
            panels=[
                wr.MediaBrowser(title="gray, prediction, truth", media_keys=["val/panel"], num_columns=1),
                wr.MediaBrowser(title="ab density: predicted, true", media_keys=["val/ab_density"], num_columns=1),
                wr.WeavePanelSummaryTable(table_name="val/pictures"),
            ],
            layout_settings=ws.SectionLayoutSettings(columns=2, rows=2),
        ),
        ws.Section(
            name="Validation",
            panels=[
                over(steps, ["val/loss"], "loss"),
                *(over(steps, [f"val/{key}", f"val/gray_{key}"], f"{key}, and all gray") for key in _BESIDE_GRAY),
                over(steps, ["val/colorfulness", "val/colorfulness_truth"], "colourfulness, and the truth's"),
                over(pictures, ["val/loss"], "loss over pictures seen"),
            ],
        ),
        ws.Section(
            name="Training",
            panels=[
                over(steps, ["train/loss"], "loss"),
                over(pictures, ["train/loss"], "loss over pictures seen"),
                over(steps, ["train/gradient_norm"], "gradient norm, before it is clipped"),
                wr.LinePlot(title="learning rate", x=steps, metric_regex="^lr-"),
            ],
        ),
        ws.Section(
            name="Speed",
            panels=[
                over(steps, ["throughput/pictures_per_second"], "pictures per second"),
                over(steps, ["throughput/waiting_for_data"], "share of time spent waiting for data"),
            ],
        ),
        ws.Section(
            name="Runs",
            panels=[
                *(
                    wr.BarPlot(title=f"{key} of the best checkpoint", metrics=[f"best/{key}"])
                    for key in (*_BESIDE_GRAY, "colorfulness")
                ),
                wr.ScatterPlot(
                    title="PSNR against colourfulness",
                    x=wr.SummaryMetric("best/psnr"),
                    y=wr.SummaryMetric("best/colorfulness"),
                ),
                wr.RunComparer(diff_only="split"),
            ],
        ),
    ]
    for section in sections:
        section.is_open = True
    return ws.Workspace(entity=entity, project=project, name="Review", sections=sections)


def main() -> None:
    """Saves the workspace; W&B prints where it is."""
    if len(sys.argv) != 3:
        sys.exit("usage: python -m colorization.wandb_workspace ENTITY PROJECT")
    try:
        build(*sys.argv[1:]).save()
    except (ConfigError, wandb.errors.Error) as error:
        sys.exit(f"Error: {first_line(error)}")


if __name__ == "__main__":
    main()
