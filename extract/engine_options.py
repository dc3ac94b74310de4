"""`--engine` and `--address`: where features are computed."""

import click

from sadgr.extract.ray_session import check_address, check_engine_installed

ENGINES = ("local", "ray")
RAY_DEVICES = ("auto", "cpu", "cuda")
"""An encoder of Ray's has a GPU of its own, whichever that is."""

engine_option = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="local",
    help="local computes on this machine; ray decodes on the CPUs and encodes on the GPUs of a Ray cluster, whose nodes all "
    "see SOURCE, CACHE and models under the same paths. Needs sadgr[ray].",
)
address_option = click.option(
    "--address",
    metavar="HOST:PORT",
    help="With --engine ray: a running cluster, of which this machine is a node; auto for the one on this machine.  "
    "[default: $RAY_ADDRESS, or else a Ray of this machine's own]",
)


def check_engine(engine: str, address: str | None, device: str, devices: str | None) -> None:
    """Check that the options say one thing, and that Ray is installed where it is asked for.

    Raises:
        click.UsageError: they do not.
        EngineUnavailableError: it is not, or the address is none of a cluster's node.
    """
    if engine != "ray":
        if address is not None:
            raise click.UsageError("--address names a Ray cluster: add --engine ray")
        return
    if devices is not None:
        raise click.UsageError("--engine ray uses every GPU of its cluster: leave --devices out")
    if device not in RAY_DEVICES:
        raise click.UsageError(
            f"--device {device}: with --engine ray, each encoder has a GPU of its own; say cuda, or cpu"
        )
    check_address(address)
    check_engine_installed()
