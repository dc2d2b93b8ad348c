"""What the columns of a table are for, by their names."""

import re

# Of several names that are there, the first one is taken.
LABEL_NAMES = (
    "labels",
    "label",
    "y",
    "targets",
    "target",
    "class",
    "classes",
    "class_id",
    "class_label",
    "label_id",
    "class_name",
    "label_name",
    "category",
    "categories",
    "digit",
    "digits",
    "letter",
    "character",
    "emotion",
    "emotions",
    "expression",
    "sign",
    "gesture",
    "species",
    "diagnosis",
    "ground_truth",
    "outcome",
)
PART_NAMES = ("usage", "split", "set", "subset", "partition", "part")
PART_VALUES = {  # in a column that tells the parts of a data set: index in `SPLITS`
    **dict.fromkeys(("train", "training"), 0),
    # FER-2013 calls the pictures that Kaggle's public list was made of PublicTest.
    **dict.fromkeys(("val", "valid", "validation", "dev", "publictest"), 1),
    **dict.fromkeys(("test", "testing", "privatetest"), 2),
}
EXTRA_NAMES = (  # of columns that number or name the rows
    "",
    "#",
    "id",
    "ids",
    "idx",
    "index",
    "row",
    "row_id",
    "no",
    "nr",
    "filename",
    "file_name",
    "file",
    "path",
    "filepath",
    "file_path",
    "image",
    "image_id",
    "imageid",
    "image_name",
    "image_path",
    "img",
    "name",
    "sample",
    "sample_id",
    "uuid",
)
PIXEL_NAME = re.compile(r"\D*\d+(\D+\d+)*\D*")  # pixel0, 1x1, r0c0, 17, R_3


def fold_name(name: str) -> str:
    """Return a name as the tables have it.

    Examples
    --------
    >>> fold_name(" Class-Label "), fold_name("Unnamed: 0")
    ('class_label', '')
    """
    folded = re.sub(r"[-.\s]+", "_", name.strip().strip("\"'").strip().lower())
    return "" if re.fullmatch(r"unnamed:?_?\d*", folded) else folded


def is_pixel_name(name: str) -> bool:
    """Return whether a column is named as pixels are, by its number."""
    return PIXEL_NAME.fullmatch(name.strip()) is not None


def clean_name(name: str) -> str:
    """Return a name that can be shown, without spaces around it."""
    return "".join(letter if letter.isprintable() else "�" for letter in name.strip())
