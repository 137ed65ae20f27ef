"""The commands, as installed by pip and as used by `python -m colorization`."""

from colorization.runtime.stopping import stopping_at_once

with stopping_at_once():
    from colorization.commands.arguments import Grammar
    from colorization.commands.entry import Command
    from colorization.config import schemas

train = Command(
    "train",
    "colorization.commands.train:run",
    Grammar(schemas.TrainConfig),
    close_sweep="colorization.sweeps.leaderboard:close_sweep",
)
evaluate = Command(
    "evaluate",
    "colorization.commands.evaluate:run",
    Grammar(schemas.EvaluateConfig, paths=("checkpoint",), places=("checkpoint",)),
    completed_by=("data=folder",),
)
predict = Command(
    "predict",
    "colorization.commands.predict:run",
    Grammar(schemas.PredictConfig, paths=("checkpoint", "output", "suffix"), many="input", takes_multirun=False),
)
export = Command(
    "export",
    "colorization.commands.export:run",
    Grammar(
        schemas.ExportConfig, paths=("checkpoint", "output"), places=("checkpoint", "output"), takes_multirun=False
    ),
)
audit = Command("audit", "colorization.commands.audit:run", Grammar(schemas.AuditConfig))
prepare = Command(
    "prepare",
    "colorization.commands.prepare:run",
    Grammar(schemas.PrepareConfig, paths=("source", "target"), places=("source", "target"), takes_multirun=False),
)
app = Command(
    "app",
    "colorization.commands.app:run",
    Grammar(
        schemas.AppConfig, paths=("checkpoint", "checkpoints", "auth"), places=("checkpoint",), takes_multirun=False
    ),
)
COMMANDS = {command.name: command for command in (train, evaluate, predict, export, audit, prepare, app)}
