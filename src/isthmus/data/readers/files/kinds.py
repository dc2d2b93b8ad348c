"""Kinds of files by their suffixes: which ones are pictures and archives, and why others are not.

What is not read is counted by suffix, so that nobody misses a file without a word.
"""

import re
from collections import defaultdict
from collections.abc import Iterable

from PIL import features

from isthmus.data.reading import LeftOut

JPEG_SUFFIXES = (".jfif", ".jpe", ".jpeg", ".jpg")
NETPBM_SUFFIXES = (".pbm", ".pgm", ".pnm", ".ppm")
ALWAYS_READ = (".apng", ".bmp", ".dib", ".gif", ".pcx", ".png", ".tga", ".tif", ".tiff")
IF_SUPPORTED = {  # by the feature of Pillow that a wheel may lack
    "avif": (".avif",),
    "jpg_2000": (".j2k", ".jp2", ".jpx"),
    "webp": (".webp",),
}
HEIF_SUFFIXES = (".heic", ".heif", ".hif")  # by an extra: without it, each says what is missing


def _list_picture_suffixes() -> tuple[str, ...]:
    suffixes = {*ALWAYS_READ, *JPEG_SUFFIXES, *NETPBM_SUFFIXES, *HEIF_SUFFIXES}
    # `features` does not know avif before Pillow 11.3, and warns of names that it does not know.
    known = {*features.modules, *features.codecs}
    for feature, more in IF_SUPPORTED.items():
        if feature in known and features.check(feature):
            suffixes |= {*more}
    return tuple(sorted(suffixes))


COMMON_SUFFIXES = ".jpg, .png, .tif, .webp"  # for messages
PICTURE_SUFFIXES = _list_picture_suffixes()
ARCHIVE_SUFFIXES = (
    *(".tar", ".tar.bz2", ".tar.gz", ".tar.xz", ".tbz", ".tbz2", ".tgz", ".txz", ".zip"),
)
PARQUET_SUFFIXES = (".arrow", ".parquet")
ARCHIVE = "an archive inside of what is read; unpack it there, or give it as the source"
UNREAD_KINDS = {  # why files of these suffixes are not read; such as "a.mp4 is a video, …"
    (".avif", ".j2k", ".jp2", ".jpx", ".webp"): "a format that this Pillow cannot read; update it",
    (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"): (
        "raw data of a camera; export it as TIFF or JPEG"
    ),
    (".ai", ".eps", ".pdf", ".ps", ".svg", ".svgz"): "a document or drawing; export it as PNG",
    (".psd", ".xcf", ".kra"): "a file of layers; export it as PNG",
    (".icns", ".ico"): "an icon of several sizes; export one as PNG",
    (".exr", ".hdr", ".pfm"): "a picture of floats; convert it to TIFF",
    (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"): (
        "a video; extract its frames, such as by ffmpeg"
    ),
    (".flac", ".m4a", ".mp3", ".ogg", ".wav"): "sound; convert it to .npy",
    (".dcm", ".dicom", ".mha", ".mhd", ".nii", ".nii.gz", ".nrrd"): (
        "a medical image; export slices as PNG or .npy"
    ),
    (".czi", ".lif", ".lsm", ".nd2", ".svs", ".vsi"): "a microscope's format; export it as TIFF",
    (".csv", ".csv.gz", ".npy", ".npz", ".tsv", *PARQUET_SUFFIXES): (
        "a table or array; give it as the source to read it"
    ),
    (".h5", ".hdf5", ".mat", ".pkl", ".tfrecord", ".xlsx"): (
        "a table or array of another kind; convert it to .csv or .npz"
    ),
    (".7z", ".bz2", ".gz", ".rar", ".tar.lz", ".tar.zst", ".tzst", ".xz", ".z", ".zst"): (
        "an archive of another kind; unpack it, or pack it as .zip or .tar"
    ),
    ARCHIVE_SUFFIXES: ARCHIVE,
}
REASONS = {suffix: why for suffixes, why in UNREAD_KINDS.items() for suffix in suffixes}
# What systems leave in folders; nobody takes it for data, so nobody is told.
SYSTEM_NAMES = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir"),
        *("$recycle.bin", "lost+found", "system volume information"),
    }
)
MAX_SUFFIX = 10  # letters; more are no suffix but the end of a name with a dot


def is_ignored(name: str) -> bool:
    """Return whether a file or folder is hidden, or something that a system left there."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def suffix_of(name: str) -> str:
    """Return the suffix of a name in lower case, with the one before it if both make a kind.

    Examples
    --------
    >>> suffix_of("a/scan.nii.gz"), suffix_of("b.TXT"), suffix_of("c/README")
    ('.nii.gz', '.txt', '')
    """
    found = re.search(r"(\.[^./]+)?(\.[^./]+)$", name.rpartition("/")[2].lower())
    if found is None or found.start() == 0 or len(found[2]) > MAX_SUFFIX:
        return ""
    return found[0] if found[0] in REASONS else found[2]


def why_unread(name: str) -> str | None:
    """Return what a file of a known kind is and what to do with it, None for another kind."""
    return REASONS.get(suffix_of(name))


def count_by_suffix(names: Iterable[str]) -> tuple[LeftOut, ...]:
    """Count the files that are left out for their suffix, most frequent suffix first."""
    by_suffix = defaultdict(list)
    for name in names:
        by_suffix[suffix_of(name)].append(name)
    ordered = sorted(by_suffix.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(LeftOut.of(_describe(suffix), names) for suffix, names in ordered)


def _describe(suffix: str) -> str:
    why = REASONS.get(suffix)
    return f"{suffix} ({why})" if why else suffix or "without suffix"
