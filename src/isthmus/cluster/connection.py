"""Ray: joined where it runs, or started on this machine, and quiet in both cases."""

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus.errors import OptionError, first_sentence, missing_package
from isthmus.runtime import core_count, ignored_warnings

LOCAL, AUTO = "local", "auto"
CLIENT = "ray://"
LOCALHOST = "127.0.0.1"
TOKEN = Path("~/.ray/auth_token")  # of the user's own clusters
SECONDS_TO_ANSWER = 5.0
# Read when Ray is imported. It sends nothing to its makers, and what its C++ core has to say about
# machines that come and go is not for the user of a command.
VARIABLES = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}


@contextmanager
def joined(on: str) -> Iterator[None]:
    """Be connected to a cluster of Ray, or to the one that the caller has joined already.

    Parameters
    ----------
    on : str
        "local" starts Ray on this machine, and ends it afterwards; "auto" joins the cluster of this
        machine; an address such as head:6379 or ray://head:10001 joins that one.

    Raises
    ------
    OptionError
        If Ray is not installed, or nothing answers at the address.
    """
    ray = _import_ray(on)
    with _quiet():
        if ray.is_initialized():
            yield
            return
        _connect(ray, on)
        try:
            yield
        finally:
            ray.shutdown()


def _import_ray(on: str) -> Any:
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    if on.startswith(CLIENT) and TOKEN.expanduser().exists():  # which Ray itself forgets
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        with ignored_warnings:
            import ray
            import ray.data
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("ray", "pyarrow", "pandas"):
            raise
        raise missing_package("--on", "ray[data]", "ray") from None
    return ray


def _connect(ray: Any, on: str) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if on == LOCAL:
        options |= {"num_cpus": core_count(), "include_dashboard": False}
        options |= {"_node_ip_address": LOCALHOST, "address": LOCAL}
    else:
        _require_answer(on)
        options |= {"address": on}
    try:
        with _muted():
            ray.init(**options)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise OptionError(_explain(on, error)) from error


def _require_answer(on: str) -> None:
    """Reject an address at which nothing answers; Ray itself tries for a minute."""
    if on == AUTO:
        return
    host, _, port = on.removeprefix(CLIENT).rpartition(":")
    if not host or not port.isdigit():
        raise OptionError(
            f"--on is local, auto or the address of a cluster, such as {CLIENT}head:10001, not "
            f"{on!r}."
        )
    try:
        socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise OptionError(
            f"no cluster of Ray answers at {on} ({first_sentence(error)}); start one with ray "
            "start --head, or give --on local."
        ) from error


def _explain(on: str, error: Exception) -> str:
    if on == AUTO and isinstance(error, ConnectionError):
        return (
            "there is no cluster of Ray on this machine; start one with ray start --head, or give "
            "--on local."
        )
    what = "Ray cannot be started" if on == LOCAL else f"the cluster at {on} cannot be joined"
    return f"{what}: {first_sentence(error)}."


@contextmanager
def _muted() -> Iterator[None]:
    """Let nothing be written to standard error, where the core of Ray greets at any level."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _quiet() -> Iterator[None]:
    """Let Ray write nothing to the terminal; its own files keep all of it."""
    from ray._private import worker

    loggers = [logging.getLogger(name) for name in ("ray", "ray.data")]
    before = [(logger, logger.level) for logger in loggers]
    # What its nodes have to say goes to standard output, which is for results. Its own debugger
    # holds it back by this, too.
    is_loud = vars(worker).get("_worker_logs_enabled", True)
    try:
        vars(worker)["_worker_logs_enabled"] = False
        with ignored_warnings:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
    finally:
        vars(worker)["_worker_logs_enabled"] = is_loud
        for logger, level in before:
            logger.setLevel(level)
