"""`Facts`: all that the checks of a run look at; a check measures nothing itself."""

from dataclasses import dataclass

from isthmus.evaluation.diagnosis.course import Course
from isthmus.models.tasks import Task


@dataclass(frozen=True)
class CodeFacts:
    """How the codes of samples differ.

    Parameters
    ----------
    count : int
        How many codes there are.
    units : int
        Numbers of a code; of one that a convolution computes, its channels.
    dead : tuple of int
        The units that are the same for every sample, from 0.
    is_spatial : bool
        Whether the units are channels.
    spread : float
        Standard deviation of the codes around their mean, as a share of the mean's length.
    rank : float
        In how many directions the numbers vary independently: the participation ratio of the
        eigenvalues of their correlation, from 1 to as many as there are numbers.
    active : int, optional
        Of a variational autoencoder, how many units say something; see `likelihood.count_active`.
    """

    count: int
    units: int
    dead: tuple[int, ...]
    is_spatial: bool
    spread: float
    rank: float
    active: int | None = None


@dataclass(frozen=True)
class ErrorFacts:
    """Mean squared errors of reconstructions, of pixels from 0 to 1.

    Parameters
    ----------
    count : int
        Samples that they are means over.
    model, mean, pca : float
        Of the model, of the mean training sample, and of PCA.
    components : int
        Of PCA: as many as the code has numbers, or fewer; see `count_components`.
    noisy : float, optional
        Of the noisy inputs themselves, for a denoiser.
    variation : float
        Variance of the reconstructions between samples, as a share of that of the samples.
    """

    count: int
    model: float
    mean: float
    pca: float
    components: int
    noisy: float | None
    variation: float


@dataclass(frozen=True)
class AnswerFacts:
    """What a classifier or segmenter answers.

    Parameters
    ----------
    count : int
        Samples that were classified, or whose pixels were.
    accuracy : float
        Over samples or pixels.
    majority : float
        The accuracy of always answering the most frequent class of them.
    majority_class : str
    share : float
        The share of the answers that are the most frequent answer.
    answer : str
        The most frequent answer.
    """

    count: int
    accuracy: float
    majority: float
    majority_class: str
    share: float
    answer: str


@dataclass(frozen=True)
class DenoisingFacts:
    """How much noise a denoiser takes out, as means of PSNR in dB.

    Parameters
    ----------
    count : int
        Images that they are means over.
    model, noisy, filter : float
        Of the model, of the noisy images themselves, and of the best filter.
    name : str
        Of that filter.
    """

    count: int
    model: float
    noisy: float
    filter: float
    name: str


@dataclass(frozen=True)
class Facts:
    """All that is known of a run.

    Parameters
    ----------
    run : str
        Its name.
    is_in_memory : bool
        Whether it has no folder that a command could be given.
    model : str
        The name of the model.
    task : str
    is_signal : bool
        Whether it takes signals, and not images.
    usual_model : str
        The model that the task has by default.
    usual_lr : float
        The learning rate that the optimizer has by default with this model.
    usual_epochs : int
        The epochs that a training on so many samples has by default.
    course : Course
    change : float, optional
        The largest change of a matrix of weights since the start, as a share of its size; None
        where the first weights are not known.
    codes, errors, answers, denoising : optional
        None where they could not be measured or make no sense.
    """

    run: str
    is_in_memory: bool
    model: str
    task: Task
    is_signal: bool
    usual_model: str
    usual_lr: float
    usual_epochs: int
    course: Course
    change: float | None = None
    codes: CodeFacts | None = None
    errors: ErrorFacts | None = None
    answers: AnswerFacts | None = None
    denoising: DenoisingFacts | None = None
