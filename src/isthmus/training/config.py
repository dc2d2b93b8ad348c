"""`TrainingConfig`: immutable, checked when created, completed once the data is known.

The docstring of `TrainingConfig` is also the help of `isthmus train`, and the fields' metadata say
in which panel of the help an option stands. So this file must import quickly: torch and the tables
that need it are imported where they are used.
"""

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from isthmus.data.groups import check_group_by
from isthmus.data.rates import require_rate
from isthmus.errors import OptionError, require_known

if TYPE_CHECKING:
    from isthmus.data.augmentation import Augmentation
    from isthmus.data.corruption import Corruption
    from isthmus.models.config import ModelConfig
    from isthmus.models.tasks import Task

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "32", "bf16")

# Defaults that depend on the data. A large set needs few epochs and a small one many, so the
# number of samples seen is constant. Batches of at most 256 keep enough steps an epoch for the
# optimizer; a limit on their numbers keeps the activations of large images within memory.
DEFAULT_SAMPLES_SEEN = 1_600_000
STYLIZED_SAMPLES_SEEN = 12_000  # by a style bank, of which each takes a hundred times as long
STYLIZED_BATCH_SIZE = 4
MAX_EPOCHS_STYLIZED = 300
MIN_EPOCHS, MAX_EPOCHS = 10, 30
MAX_EPOCHS_LABELED = 100  # augmented samples do not repeat, so more epochs still help
MAX_EPOCHS_OF = {
    "reconstruct": MAX_EPOCHS,
    "classify": MAX_EPOCHS_LABELED,
    "segment": MAX_EPOCHS_LABELED,
}
MIN_BATCH_SIZE, MAX_BATCH_SIZE = 32, 256
MAX_BETA = 1_000_000  # far larger ones exceed what 32 bits hold
MAX_BATCH_NUMBERS = 2**22
PATCH, DENOISING_BATCH_SIZE = 64, 16  # pixels along a side, and patches, of a denoiser
DENOISED_PATCHES_SEEN = 200_000
MIN_STEPS_PER_EPOCH = 64
DEFAULT_AUGMENTATION = {  # of photographs: of images that may be flipped
    "classify": "shift:0.1,zoom:0.3,color:0.2",
    "segment": "zoom:0.3,color:0.2",
}

# Panels of the help, as metadata of fields.
DATA = {"panel": "Data"}
MODEL = {"panel": "Model"}
TRAINING = {"panel": "Training"}
NOISE = {"panel": "Noise and augmentation"}
LABELS = {"panel": "Labels"}
VARIATIONAL = {"panel": "Variational autoencoders", "omit_empty": True}  # see `files.to_json`
DETECTION = {"panel": "Outliers", "omit_empty": True}
DENOISERS = {"panel": "Denoisers", "omit_empty": True}
OUTPUT = {"panel": "Output"}
KIND_AND_STRENGTH = {"metavar": "<kind:strength>"}


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained; `resolve` chooses what is None.

    Parameters
    ----------
    validation : float
        Fraction of the data to choose the best epoch by, where the source has no validation split.
    test : float
        Fraction of the data to report on, where the source has no test split.
    group_by : str, optional
        Keep groups of samples in one split, such as all images of a person: folder, for the folder
        that a sample lies in; or a regular expression on the file's name, with a / in it on the
        whole path, whose first group is the name of the person, as in '^(.*?)_'. By default
        samples are divided one by one.
    normal : str, optional
        Learn normal samples only, to find outliers: a class of the source, a folder in it, or all.
        Of all other samples those of the test split are tested on; without a test split, all.
    false_alarms : float, optional
        Share of normal samples that may be called outliers, by which the threshold is chosen on
        the validation split; by default 0.01.
    encoder_from : str, optional
        Start with the encoder of this run; of a segmenter also with a file of VGG-16's weights.
    freeze : bool
        Keep that encoder as it is and train only the rest.
    epochs : int, optional
        Passes over the training samples; by default as many as see 1.6 million samples, from 10
        to 30, with labels or masks to 100.
    batch_size : int, optional
        Samples in a batch, of all processes together; by default a power of two from 32 to 256
        that leaves 64 steps an epoch and fits in memory.
    accumulate : int, optional
        Divide each batch into this many micro-batches and add up their gradients, which takes less
        memory; the weights stay the same to the last digits, unless the model has batch
        normalization. By default batches are whole.
    optimizer : str
        One of adamw, adam, adamax, sgd and adadelta.
    lr : float, optional
        Highest learning rate of the schedule; by default the optimizer's usual one, for a few
        models a part of it.
    momentum : float
        Momentum of sgd, from 0 to below 1; the other optimizers have their own.
    weight_decay : float, optional
        Decoupled for adamw, an L2 penalty for the others; by default the optimizer's usual one.
    schedule : str
        Schedule of the learning rate: one-cycle, constant, cosine or step.
    loss : str, optional
        One of bce, mse and cross-entropy; by default bce after a sigmoid, cross-entropy where
        there are classes, and mse otherwise.
    patience : int, optional
        Stop after so many epochs without a better one: by validation loss, with labels by
        accuracy, with masks by mean IoU. By default never stop early.
    seed : int
        Seed of all that is random: the split, the first weights, the order of samples, noise,
        augmentation and dropout.
    device : str
        One of auto, cpu, cuda and mps.
    precision : str
        One of auto, 32 and bf16; auto is bfloat16 where the processor computes in it, unless
        float32 is measured to be faster for the model.
    deterministic : bool
        Compute so that the weights do not depend on the number of threads: on a CPU with one of
        them, on CUDA without algorithms that add up in any order. It takes longer.
    flip : bool, optional
        Mirror half of the training images from left to right, another half each epoch; by default
        where the data set allows it.
    corrupt : str, optional
        Train a denoiser with this noise on its inputs, as kind:strength, of gaussian,
        gaussian-unclipped, poisson, speckle, stripes, salt-pepper, masked, occluded and jpeg;
        several with commas between. A strength may be a fraction, gaussian:25/255, or a range,
        gaussian:0..55/255, from which each sample gets another. Noise is new in every epoch of
        training, and always the same for validation and test.
    augment : str, optional
        Change the training images at random each epoch, as kind:strength: shift:0.1, zoom:0.3,
        rotate:10, color:0.2; several with commas between, or none. By default photographs with
        labels or masks are changed and all else is not.
    label_smoothing : float
        Share of each label that is spread over all classes, from 0 to below 1.
    class_weights : bool
        Weigh classes in the loss by the inverse of their frequency.
    patch : int, optional
        Side in pixels of the squares that a denoiser is trained on, cut again in each epoch; by
        default 64, or the largest side of the images if that is less.
    no_clean : bool
        Train a denoiser on noisy images alone: it learns to predict pixels from those next to them.
        The noise must be independent from pixel to pixel.
    beta : float, optional
        Weight of the KL divergence in the loss of a variational autoencoder; by default 1.
    warm_up : float
        Share of the training in which that weight rises from 0, from 0 to 1; against a code that
        collapses.
    free_bits : float
        Nats of the KL divergence that cost nothing, for each number of the code.
    binarize : bool
        Draw each pixel as black or white with its brightness as probability, again in each epoch:
        the log-likelihoods of the literature are of MNIST in this form.
    tensorboard : bool
        Write event files for TensorBoard too.

    Raises
    ------
    OptionError
        If a value is outside its range or a name is unknown.
    """

    validation: float = field(default=0.1, metadata=DATA)
    test: float = field(default=0.1, metadata=DATA)
    group_by: str | None = field(default=None, metadata={**DATA, "omit_empty": True})
    normal: str | None = field(default=None, metadata=DETECTION)
    false_alarms: float | None = field(default=None, metadata=DETECTION)
    encoder_from: str | None = field(default=None, metadata=MODEL)
    freeze: bool = field(default=False, metadata=MODEL)
    epochs: int | None = field(default=None, metadata=TRAINING)
    batch_size: int | None = field(default=None, metadata=TRAINING)
    accumulate: int | None = field(default=None, metadata={**TRAINING, "omit_empty": True})
    optimizer: str = field(default="adamw", metadata=TRAINING)
    lr: float | None = field(default=None, metadata=TRAINING)
    momentum: float = field(default=0.0, metadata=TRAINING)
    weight_decay: float | None = field(default=None, metadata=TRAINING)
    schedule: str = field(default="one-cycle", metadata=TRAINING)
    loss: str | None = field(default=None, metadata=TRAINING)
    patience: int | None = field(default=None, metadata=TRAINING)
    seed: int = field(default=0, metadata=TRAINING)
    device: str = field(default="auto", metadata=TRAINING)
    precision: str = field(default="auto", metadata=TRAINING)
    deterministic: bool = field(default=False, metadata={**TRAINING, "omit_empty": True})
    flip: bool | None = field(default=None, metadata=NOISE)
    corrupt: str | None = field(default=None, metadata={**NOISE, **KIND_AND_STRENGTH})
    augment: str | None = field(default=None, metadata={**NOISE, **KIND_AND_STRENGTH})
    label_smoothing: float = field(default=0.0, metadata=LABELS)
    class_weights: bool = field(default=False, metadata=LABELS)
    patch: int | None = field(default=None, metadata=DENOISERS)
    no_clean: bool = field(default=False, metadata=DENOISERS)
    beta: float | None = field(default=None, metadata=VARIATIONAL)
    warm_up: float = field(default=0.0, metadata=VARIATIONAL)
    free_bits: float = field(default=0.0, metadata=VARIATIONAL)
    binarize: bool = field(default=False, metadata=VARIATIONAL)
    tensorboard: bool = field(default=False, metadata=OUTPUT)

    def __post_init__(self) -> None:
        self._reject_unknown_names()
        for name, low, high in (
            ("epochs", 1, math.inf),
            ("batch_size", 1, math.inf),
            ("accumulate", 1, math.inf),
            ("patience", 1, math.inf),
            ("patch", 8, 1024),
            ("seed", 0, 2**63 - 1),
            # Below 1, as a limit that a message can state.
            ("momentum", 0, 0.9999),
            ("weight_decay", 0, math.inf),
            ("label_smoothing", 0, 0.9999),
            ("warm_up", 0, 1),
            ("free_bits", 0, 1000),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                limit = f"at least {low}" if high == math.inf else f"from {low} to {high}"
                raise OptionError(f"{name.replace('_', ' ')} must be {limit}, not {value}.")
        check_group_by(self.group_by)
        self._check_detection()
        _ = self.corruption, self.augmentation  # raise if they cannot be parsed
        if self.beta is not None and not 0 < self.beta <= MAX_BETA:
            raise OptionError(f"beta must be above 0 and at most {MAX_BETA:,}, not {self.beta}.")
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise OptionError(f"lr must be a number above 0, not {self.lr}.")
        if self.freeze and not self.encoder_from:
            raise OptionError("freeze needs an encoder to keep as it is; give encoder from too.")

    @property
    def corruption(self) -> "Corruption | None":
        """The noise on the inputs, if any."""
        from isthmus.data.corruption import Corruption

        return Corruption.parse(self.corrupt) if self.corrupt else None

    @property
    def augmentation(self) -> "Augmentation | None":
        """The random changes to training images, if any."""
        from isthmus.data.augmentation import Augmentation

        return Augmentation.parse(self.augment) if self.augment not in (None, "none") else None

    def resolve(
        self, model_config: "ModelConfig", count: int, allows_flip: bool = False
    ) -> "TrainingConfig":
        """Return a copy with every default chosen for a model and its data.

        Parameters
        ----------
        model_config : ModelConfig
            The model to train.
        count : int
            Number of samples to train on.
        allows_flip : bool
            Whether a mirrored sample is as likely as the sample; see `Samples`.

        Raises
        ------
        OptionError
            If a setting does not fit the model's task or output, or a batch would exceed the
            samples.
        """
        from isthmus.models.registry import MODELS
        from isthmus.training.optim import OPTIMIZERS

        # Checks before defaults, so that a message is about what the caller has chosen.
        loss = self._loss(model_config)
        self._reject_other_tasks(model_config)
        is_variational = MODELS[model_config.model].objective == "variational"
        self._reject_variational(model_config, is_variational, loss)
        if self.batch_size is not None and self.batch_size > count:
            raise OptionError(
                f"a batch of {self.batch_size:,} exceeds the {count:,} samples to train on; "
                "take a smaller batch size."
            )
        optimizer = OPTIMIZERS[self.optimizer]
        lr = optimizer.lr * MODELS[model_config.model].lr_scale
        return replace(
            self,
            epochs=self.epochs or default_epochs_of(model_config.task, count),
            batch_size=self.batch_size or _default_batch_size(model_config, count),
            lr=lr if self.lr is None else self.lr,
            weight_decay=optimizer.weight_decay if self.weight_decay is None else self.weight_decay,
            loss=loss,
            beta=1.0 if is_variational and self.beta is None else self.beta,
            patch=model_config.shape[1] if model_config.task == "denoise" else None,
            flip=allows_flip if self.flip is None else self.flip,
            corrupt=str(self.corruption) if self.corruption else None,
            augment=self.augment or self._default_augment(model_config.task, allows_flip),
        )

    def _check_detection(self) -> None:
        if self.normal is not None and not self.normal.strip("/ "):
            raise OptionError("normal is a class, a folder or all, not an empty name.")
        if self.false_alarms is None:
            return
        require_rate(self.false_alarms)
        if self.normal is None:
            raise OptionError("false alarms are those of normal samples; say which by normal.")

    def _reject_unknown_names(self) -> None:
        from isthmus.training.losses import LOSSES
        from isthmus.training.optim import OPTIMIZERS, SCHEDULES

        tables: dict[str, Any] = {
            "optimizer": OPTIMIZERS,
            "schedule": SCHEDULES,
            "loss": LOSSES,
            "device": DEVICES,
            "precision": PRECISIONS,
        }
        for name, table in tables.items():
            value = getattr(self, name)
            if value is not None:
                require_known(name, value, table)

    def _reject_other_tasks(self, model_config: "ModelConfig") -> None:
        """Reject settings that mean nothing to a model of this task, or to signals."""
        from isthmus.models.tasks import CLASS_TASKS, TASKS, with_article

        if len(model_config.shape) == 2 and (self.flip or self.augmentation):
            raise OptionError("signals have no left and right; leave flip and augment out.")
        if model_config.task not in CLASS_TASKS and (self.label_smoothing or self.class_weights):
            raise OptionError(
                f"{model_config.model} is {with_article(TASKS[model_config.task])} and has no "
                "classes; leave label smoothing and class weights out."
            )
        if model_config.task != "reconstruct" and self.normal is not None:
            raise OptionError(
                f"{model_config.model} is not an autoencoder and finds no outliers; leave normal "
                "out."
            )
        if model_config.task not in ("reconstruct", "denoise") and self.corrupt:
            raise OptionError(
                f"{model_config.model} is not an autoencoder and removes no noise; leave corrupt "
                "out, or give augment."
            )
        if self.corruption is not None:
            self.corruption.require_suitable(is_signal=len(model_config.shape) == 2)
        self._reject_for_denoising(model_config)

    def _reject_for_denoising(self, model_config: "ModelConfig") -> None:
        """Reject settings that only denoisers have, or that they have not."""
        is_denoiser = model_config.task == "denoise"
        given = [name for name in ("patch", "no_clean") if getattr(self, name)]
        if given and not is_denoiser:
            raise OptionError(
                f"{model_config.model} is no denoiser; leave {given[0].replace('_', ' ')} out, or "
                "choose the model denoiser."
            )
        if is_denoiser and self.augmentation:
            raise OptionError(
                "the patches of a denoiser are turned and mirrored, and moving them between pixels "
                "would smooth their noise; leave augment out."
            )

    def _reject_variational(
        self, model_config: "ModelConfig", is_variational: bool, loss: str
    ) -> None:
        """Reject settings that mean nothing to a model without chance, or to this loss."""
        names = ("beta", "warm_up", "free_bits", "binarize")
        given = [name for name in names if getattr(self, name)]
        if given and not is_variational:
            raise OptionError(
                f"{model_config.model} is no variational autoencoder; leave "
                f"{given[0].replace('_', ' ')} out, or take the model vae or dense-vae."
            )
        if self.binarize and loss != "bce":
            raise OptionError("binarize makes pixels of 0 and 1, which need the loss bce.")
        if self.binarize and self.corrupt:
            raise OptionError("binarize and corrupt both draw pixels; leave one of them out.")
        if self.binarize and len(model_config.shape) == 2:
            raise OptionError("signals have no black and white; leave binarize out.")

    def _loss(self, model_config: "ModelConfig") -> str:
        """Return the loss, if it fits the model's output."""
        defaults = {"sigmoid": "bce", "softmax": "cross-entropy", "identity": "mse"}
        # Of styles, the autoencoder's loss is one of several, and all are mean squares.
        is_stylizing = model_config.task == "stylize"
        default = "mse" if is_stylizing else defaults[model_config.activation]
        loss = self.loss or default
        if (loss == "cross-entropy") != (model_config.activation == "softmax"):
            raise OptionError(
                f"the loss {loss} does not fit {model_config.model}, whose output is "
                f"{'a class' if model_config.class_names else 'a sample'}; take {default}."
            )
        if is_stylizing and loss != "mse":
            raise OptionError(
                f"a style bank rebuilds images by their mse, not by {loss}; leave it out."
            )
        if loss == "bce" and model_config.activation != "sigmoid":
            raise OptionError(
                "the loss bce needs outputs in [0, 1] and this model's are plain numbers; take mse."
            )
        return loss

    def _default_augment(self, task: "Task", allows_flip: bool) -> str:
        """Return the changes to photographs with labels or masks, and "none" for all else.

        A set that may be flipped is taken for one of photographs: digits and letters are not, and
        a zoom or another color can turn one into another. A frozen encoder sees its images
        unchanged, as in its own training.
        """
        if task not in DEFAULT_AUGMENTATION or not allows_flip or self.freeze:
            return "none"
        return DEFAULT_AUGMENTATION[task]


def default_epochs_of(task: "Task", count: int) -> int:
    """Return how many epochs a model of a task is trained on so many samples."""
    if task == "denoise":
        return max(1, round(DENOISED_PATCHES_SEEN / count))
    if task == "stylize":
        return min(max(1, round(STYLIZED_SAMPLES_SEEN / count)), MAX_EPOCHS_STYLIZED)
    return default_epochs(count, MAX_EPOCHS_OF[task])


def default_epochs(count: int, most: int) -> int:
    """Return as many epochs as see `DEFAULT_SAMPLES_SEEN` samples, within limits."""
    return min(max(math.ceil(DEFAULT_SAMPLES_SEEN / count), MIN_EPOCHS), most)


def _default_batch_size(model_config: "ModelConfig", count: int) -> int:
    """Return a power of two, within limits and at most as many as there are samples."""
    if model_config.task == "stylize":
        return min(STYLIZED_BATCH_SIZE, count)
    if model_config.task == "denoise":
        return min(DENOISING_BATCH_SIZE, count)
    shape = model_config.shape
    largest = min(
        count // MIN_STEPS_PER_EPOCH, MAX_BATCH_NUMBERS // math.prod(shape), MAX_BATCH_SIZE
    )
    # Kernels are tuned for powers of two, and the number stays when a few samples come or go.
    power_of_two: int = 2 ** int(math.log2(max(largest, 1)))
    return min(max(power_of_two, MIN_BATCH_SIZE), count)
