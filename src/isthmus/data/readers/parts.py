"""Names of folders that are splits."""

SPLIT_FOLDERS = {  # index in SPLITS
    "train": 0,
    "training": 0,
    "val": 1,
    "valid": 1,
    "validation": 1,
    "test": 2,
    "testing": 2,
}
