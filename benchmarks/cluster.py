"""Jobs of Ray: throughput on two nodes of one core, and results when nodes are killed.

python benchmarks/cluster.py                # 100,000 images: two nodes against one process
python benchmarks/cluster.py --kills 20     # a node is killed in the middle, 20 times
python benchmarks/cluster.py --kills 20 --job denoise --images 500

The images are the faces of LFW, each several times, in one tar file. Every measurement is a line of
JSON. Both nodes are on this machine, as Ray's own cluster utility makes them, so that no network is
measured. Each has one core by Ray's count; on a machine of two cores, both ways have the same two.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_BACKEND_LOG_LEVEL="fatal")
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # else Ray listens beyond 127.0.0.1

import numpy as np

import isthmus
from isthmus.cluster import ranges
from isthmus.cluster.encoding import encode_on_cluster
from isthmus.data.dataset import data_folder
from isthmus.data.preprocess import Preprocessing
from isthmus.evaluation.predictions import prediction_rows
from isthmus.evaluation.tables import write_table
from isthmus.inference.trained import TrainedModel
from isthmus.runtime import computing_threads

SIDE, CODE_SIZE = 64, 32
STORE_BYTES = 300 * 2**20  # of each node's object store
QUICKLY = {  # Ray notices within a second that a node is gone
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 200,
    "health_check_failure_threshold": 3,
    "worker_niceness": 0,  # as the one process has
}


class Job(NamedTuple):
    """What is computed in this process and by Ray."""

    make_model: Callable[[], TrainedModel]
    suffix: str  # of what it writes
    locally: Callable[[TrainedModel, Path, Path], None]
    by_ray: Callable[[TrainedModel, Path, Path, Any], None]


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--job", choices=JOBS, default="encode", help="in which nodes are killed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder:
        if arguments.kills:
            images = min(arguments.images, 10_000)
            measure_kills(Path(folder), images, arguments.kills, JOBS[arguments.job])
        else:
            measure_throughput(Path(folder), arguments.images, arguments.rounds)


def measure_throughput(folder: Path, images: int, rounds: int) -> None:
    """Encode the same images by one process and by two nodes, in turns."""
    source, model = write_faces(folder, images), make_model()
    seconds: dict[str, list[float]] = {"local": [], "cluster": []}
    cluster, _ = start_cluster()
    for _ in range(rounds):
        for name, encode in (("local", encode_locally), ("cluster", encode_by_ray)):
            begin = time.perf_counter()
            encode(model, source, folder / f"{name}.npy")
            seconds[name].append(time.perf_counter() - begin)
            rate = round(images / seconds[name][-1])
            say(what=name, seconds=round(seconds[name][-1], 2), images_a_second=rate)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    say(
        what="throughput",
        images=images,
        threads=os.environ.get("OMP_NUM_THREADS", "all"),
        ratio=round(medians["local"] / medians["cluster"], 3),
        largest_difference=difference(folder / "local.npy", folder / "cluster.npy"),
    )
    stop(cluster)


def measure_kills(folder: Path, images: int, kills: int, job: Job) -> None:
    """Do a job on two nodes, one of which is killed in the middle, again and again."""
    ranges.MAX_ROWS = 512
    source, model = write_faces(folder, images), job.make_model()
    here, there = folder / f"local{job.suffix}", folder / f"cluster{job.suffix}"
    with computing_threads(1):  # as many as each node has cores
        job.locally(model, source, here)
    cluster, nodes = start_cluster()
    complete = 0
    for attempt in range(kills):
        place = random.Random(attempt)
        victim, when = nodes.pop(place.randrange(2)), place.randrange(images // 10, images // 2)
        begin = time.perf_counter()
        job.by_ray(model, source, there, killing(cluster, victim, when))
        is_equal = are_equal(here, there)
        complete += is_equal
        seconds = round(time.perf_counter() - begin, 1)
        say(what="kill", attempt=attempt, at=when, is_equal=is_equal, seconds=seconds)
        nodes.append(add_node(cluster))
    say(what="kills", kills=kills, complete=complete)
    stop(cluster)


def killing(cluster: Any, victim: Any, when: int) -> Any:
    """Return what tracks progress, and kills a node once, after so many images."""
    victims = [victim]

    def track(items: Iterable[Any], total: int | None = None, title: str = "") -> Iterator[Any]:
        for done, item in enumerate(items):
            if done == when and victims:
                cluster.remove_node(victims.pop(), allow_graceful=False)
            yield item

    return track


def start_cluster() -> tuple[Any, list[Any]]:
    """Start a head without cores and two nodes of one core, and join them."""
    import logging

    import ray
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": QUICKLY}
    cluster = Cluster(initialize_head=True, head_node_args={**head, **common()})
    nodes = [add_node(cluster) for _ in range(2)]
    ray.init(cluster.address, log_to_driver=False, logging_level=logging.CRITICAL)
    return cluster, nodes


def add_node(cluster: Any) -> Any:
    """Add a node of one core."""
    return cluster.add_node(num_cpus=1, **common())


def common() -> dict[str, Any]:
    """Return what all nodes have in common."""
    return {"object_store_memory": STORE_BYTES, "node_ip_address": "127.0.0.1"}


def stop(cluster: Any) -> None:
    """Leave the cluster and end it."""
    import ray

    ray.shutdown()
    cluster.shutdown()


def encode_locally(model: TrainedModel, source: Path, out: Path) -> None:
    """Decode and encode in this process, with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["ISTHMUS_CACHE"] = cache
        isthmus.encode(model, model.read(source), out=out)


def encode_by_ray(
    model: TrainedModel, source: Path, out: Path, track: Any = lambda items, *_: items
) -> None:
    """Decode and encode on the cluster that this process has joined."""
    out.unlink(missing_ok=True)
    encode_on_cluster(model, source, out, on="auto", track=track)


def difference(one: Path, other: Path) -> float:
    """Return the largest difference of two files of codes: one thread sums otherwise than two."""
    first, second = isthmus.Codes.load(one), isthmus.Codes.load(other)
    return float(np.abs(first.z - second.z).max())


def are_equal(one: Path, other: Path) -> bool:
    """Return whether two files of codes or folders are equal to the last bit, with their names."""
    if one.is_dir():
        return contents_of(one) == contents_of(other)
    if one.suffix != ".npy":
        return one.read_bytes() == other.read_bytes()
    first, second = isthmus.Codes.load(one), isthmus.Codes.load(other)
    return bool(np.array_equal(first.z, second.z)) and first.names == second.names


def contents_of(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def predict_locally(model: TrainedModel, source: Path, out: Path) -> None:
    """Write a table of predictions in this process."""
    write_table(out, model, prediction_rows(model, model.read(source)))


def predict_by_ray(model: TrainedModel, source: Path, out: Path, track: Any) -> None:
    """Write it on the cluster that this process has joined."""
    out.unlink(missing_ok=True)
    isthmus.predict_on_cluster(model, source, out, on="auto", track=track)


def denoise_locally(model: TrainedModel, source: Path, out: Path) -> None:
    """Write clean pictures in this process."""
    isthmus.denoise(model, source, out)


def denoise_by_ray(model: TrainedModel, source: Path, out: Path, track: Any) -> None:
    """Write them on the cluster that this process has joined."""
    shutil.rmtree(out, ignore_errors=True)
    isthmus.denoise_on_cluster(model, source, out, on="auto", track=track)


def make_model(name: str = "conv", code_size: int | None = CODE_SIZE, **kind: Any) -> TrainedModel:
    """Return a model with its first weights, which take as long as trained ones."""
    config = isthmus.configure(name, (3, SIDE, SIDE), code_size, **kind)
    preprocessing = Preprocessing(size=(SIDE, SIDE), channels=3)
    made = TrainedModel(config, preprocessing, config.build().eval())
    return TrainedModel.from_bytes(made.to_bytes())  # with its numbers where workers have them


def write_faces(folder: Path, images: int) -> Path:
    """Write so many images into a tar file."""
    with tarfile.open(data_folder() / "lfw" / "lfw.tar") as archive:
        faces = [archive.extractfile(one).read() for one in archive if one.name.endswith(".jpg")]  # type: ignore[union-attr]
    path = folder / "faces.tar"
    with tarfile.open(path, "w") as archive:
        for number in range(images):
            add(archive, f"{number:07d}.jpg", faces[number % len(faces)])
    return path


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file to a tar."""
    import io

    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def say(**measured: Any) -> None:
    """Print a line of JSON."""
    print(json.dumps(measured), flush=True)


JOBS = {
    "encode": Job(make_model, ".npy", encode_locally, encode_by_ray),
    "predict": Job(
        partial(make_model, "cnn", None, class_names=("a", "b")),
        ".csv",
        predict_locally,
        predict_by_ray,
    ),
    "denoise": Job(make_model, "", denoise_locally, denoise_by_ray),
}

if __name__ == "__main__":
    main()
