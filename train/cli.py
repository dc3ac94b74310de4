"""`sadgr-train`: its commands stand in `commands`."""

import click

from sadgr.cache.allocator import keep_freed_memory
from sadgr.train.commands.apply import evaluate, predict, robustness
from sadgr.train.commands.compare import compare
from sadgr.train.commands.figures import efficiency, gate, tsne
from sadgr.train.commands.keep import export, rerun
from sadgr.train.commands.learn import fit, pretrain
from sadgr.train.commands.scores import significance
from sadgr.train.commands.site import report
from sadgr.train.commands.studies import ablate, sweep, table


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sadgr")
def main() -> None:
    """Train SADGR on cached features: pretrain the alignment heads, fit the model, predict."""
    keep_freed_memory()


for command in (
    pretrain,
    fit,
    predict,
    evaluate,
    robustness,
    export,
    rerun,
    efficiency,
    tsne,
    gate,
    ablate,
    sweep,
    compare,
    table,
    significance,
    report,
):
    main.add_command(command)
