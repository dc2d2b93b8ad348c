"""What an exported file promises: its parts, the names of its tensors, and its metadata.

Both who writes such a file and who reads it keep to this; nothing here needs torch or onnx.
"""

from typing import Literal, get_args

from isthmus.inference.trained import CODE

FORMAT = 1  # of the metadata; raise it when an older program could misread them
KEY = "isthmus"  # of the metadata, which mark a file as one of ours
Part = Literal["whole", "encoder", "decoder"]
PARTS: tuple[Part, ...] = get_args(Part)
SAMPLES = "samples"  # the input; of a decoder it is the code
BATCH = "N"  # the first axis of all tensors
RECONSTRUCTION, PROBABILITIES, PREDICTION = "reconstruction", "probabilities", "prediction"
OUTPUTS = {  # of the whole model, by its task
    "reconstruct": (CODE, RECONSTRUCTION),
    "classify": (CODE, PROBABILITIES, PREDICTION),
    "segment": (CODE, PROBABILITIES, PREDICTION),
}


def outputs_of(task: str, part: Part) -> tuple[str, ...]:
    """Return the names of the outputs of a part, in order.

    Examples
    --------
    >>> outputs_of("classify", "encoder")
    ('code',)
    """
    names = OUTPUTS[task]
    return {"whole": names, "encoder": names[:1], "decoder": names[1:]}[part]
