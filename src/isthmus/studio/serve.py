"""`serve_studio`: a run in the browser, served from this machine to this machine."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.data.cache import Track, untracked
from isthmus.errors import (
    InterruptionError,
    OptionError,
    RunError,
    first_sentence,
    missing_package,
)
from isthmus.files import suggest_path
from isthmus.latent.maps import require_method
from isthmus.session import Session
from isthmus.studio.choice import Choice, reject_denoiser
from isthmus.training.store import is_run

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from isthmus.inference.model import Model
    from isthmus.studio.content import Content
    from isthmus.studio.live import Live
    from isthmus.training.run import Run

HOST = "127.0.0.1"
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_TO_END = 2  # for requests that are answered when the server is stopped


def serve_studio(
    run: "str | Path | Run | Model | Session",
    source: str | Path | None = None,
    *,
    split: str | None = None,
    limit: int | None = None,
    methods: Sequence[str] = (),
    encoder: "Model | None" = None,
    data: str | Path | None = None,
    port: int = 0,
    browser: bool = True,
    ready: Callable[[str], None] = lambda link: None,
    track: Track = untracked,
    say: Callable[[str], None] = lambda text: None,
) -> bool:
    """Serve the studio of a run to a browser of this machine, until Ctrl-C.

    Only who has the link can use it. The run may still be in training: curves grow, and better
    weights are shown when there are some.

    Parameters
    ----------
    run : path, Run, Model or Session
        A run folder, a run, the file of a model (.safetensors or .onnx), or a model.
    source : str or Path, optional
        What is shown, as for `isthmus.load`; by default the run's own samples.
    split : str, optional
        Show only one of "train", "validation" and "test".
    limit : int, optional
        Show at most as many samples, spread evenly.
    methods : sequence of str
        Maps besides PCA: "tsne" and "umap". The first of all that are named is shown first; more
        can be asked for in the page.
    encoder : Model, optional
        Whose features take the place of the run's codes.
    data : path or str, optional
        Where the run's own data is now, if it has moved since the training.
    port : int
        0 takes one that is free.
    browser : bool
        Whether to open the page.
    ready : callable
        Receives the link once the page can be opened, which is before samples are read.
    track : callable
        Shows progress of reading and computing what is shown first.
    say : callable
        Receives one sentence where something was left out or repaired.

    Returns
    -------
    bool
        False if a thread still computes something that cannot be interrupted, which nobody waits
        for.

    Raises
    ------
    OptionError
        If the port is in use, or starlette or uvicorn are not installed.
    IsthmusError
        If the run or the source cannot be shown.
    """
    _require_packages()
    for method in methods:
        require_method(method)
    Choice(None if source is None else str(source), split, limit)  # rejects what makes no sense
    folder = _require_run(run)

    def open_session(shown: Track) -> Session:
        return (
            run
            if isinstance(run, Session)
            else Session(run, data=data, encoder=encoder, track=shown, say=say)
        )

    reject_denoiser(open_session(untracked))  # before there is a link to it

    def prepare(session: Session, shown: Track) -> "Content":
        from isthmus.studio.content import Content

        options: dict[str, Any] = {"split": split, "limit": limit, "methods": tuple(methods)}
        return Content(session, source, **options, track=shown, say=say)

    from isthmus.studio.events import Events
    from isthmus.studio.live import Live

    with _listening(port) as listener:
        live = Live(open_session, prepare, Events(), track)
        return _serve(live, folder, listener, browser, ready)


def _serve(
    live: "Live",
    folder: Path | None,
    listener: socket.socket,
    browser: bool,
    ready: Callable[[str], None],
) -> bool:
    from isthmus.studio.follow import Follower
    from isthmus.studio.security import Guard
    from isthmus.studio.server import Server

    port = listener.getsockname()[1]
    guard = Guard(Server(live).app(), port)
    server = _uvicorn(guard, live)
    link = f"http://{HOST}:{port}/?token="
    is_over = threading.Event()

    def start() -> None:
        ready(link + guard.token)
        live.start(lambda: setattr(server, "should_exit", True))
        if folder is not None:
            follower = Follower(folder, live.events, live.refresh)
            threading.Thread(target=follower.follow, args=(is_over,), daemon=True).start()
        if browser:
            # Some browsers return only when they are closed.
            opened = link + guard.issue_pass()
            threading.Thread(target=webbrowser.open, args=(opened,), daemon=True).start()

    try:
        with contextlib.suppress(KeyboardInterrupt), _heeding_sigterm():
            start()
            _run(server, listener)
    finally:
        is_over.set()
        is_idle = live.stop()
    if live.failure is not None and not isinstance(live.failure, InterruptionError):
        raise live.failure
    return is_idle


@contextlib.contextmanager
def _heeding_sigterm() -> Iterator[None]:
    """Let SIGTERM, by which service managers end a program, do what Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(server: Any, listener: socket.socket) -> None:
    """Run a server until it ends by itself or by Ctrl-C."""
    # In a thread: a notebook has a loop of its own in the thread that calls this.
    ended: Future[None] = Future()

    def run() -> None:
        try:
            asyncio.run(server.serve([listener]))
        except BaseException as error:  # raised where somebody can see it
            ended.set_exception(error)
        else:
            ended.set_result(None)

    threading.Thread(target=run, name="studio server", daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        while not ended.done():
            with contextlib.suppress(TimeoutError):
                ended.result(SECONDS_BETWEEN_LOOKS)  # Windows heeds Ctrl-C only in between
    server.should_exit = True
    with contextlib.suppress(KeyboardInterrupt, TimeoutError):  # a second Ctrl-C: do not wait
        ended.result(SECONDS_TO_END + 1)


def _uvicorn(guard: "ASGIApp", live: "Live") -> Any:
    """Return a server that also ends streams of events, for which uvicorn would wait."""
    import uvicorn

    class Stoppable(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            live.events.close()
            live.interrupt()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        guard,
        access_log=False,
        log_level="error",
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SECONDS_TO_END,
    )
    return Stoppable(config)


def _require_packages() -> None:
    for package in ("starlette", "uvicorn"):
        try:
            __import__(package)
        except ModuleNotFoundError as error:
            raise missing_package("the studio's server", package, "studio") from error


def _require_run(run: Any) -> Path | None:
    """Return the folder of a run, or None; reject a path where nothing is, before serving it."""
    if isinstance(run, Session):
        run = run.source
    path = run
    if not isinstance(run, str | Path):
        try:
            path = getattr(run, "path", None)
        except RunError:  # of a run in memory
            path = None
    elif not Path(run).exists():
        raise RunError(f"there is no run folder called {run}{suggest_path(run, is_run)}.")
    elif Path(run).is_dir() and not is_run(run):
        raise RunError(f"{run} is not a run folder: it has no run.json.")
    return Path(path) if path is not None and is_run(path) else None


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """Listen on a port of this machine, which no other machine reaches."""
    if not 0 <= port < 2**16:
        raise OptionError(f"a port is a number from 0 to 65535, not {port}.")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        if os.name == "posix":  # else a server that was just stopped keeps its port for a minute
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(100)
        except OSError as error:
            reason = first_sentence(error).lower()
            if error.errno == errno.EADDRINUSE:
                reason = "another program uses it"
            raise OptionError(
                f"port {port} cannot be used: {reason}; give another one, or leave --port out."
            ) from error
        yield listener
