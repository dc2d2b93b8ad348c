"""Which parts of a model a run trains, and which stay as they are."""

from isthmus.models.layers import Network, require_encoder
from isthmus.models.stylebank import StyleBank
from isthmus.training.record import Record


def freeze_parts(module: Network, record: Record) -> None:
    """Let only those weights of a module take gradients that its run trains."""
    if record.training_config.freeze:
        require_encoder(module).encoder.requires_grad_(requires_grad=False)
    if isinstance(module, StyleBank) and record.styles is not None and record.styles.kept:
        module.encoder.requires_grad_(requires_grad=False)
        module.decoder.requires_grad_(requires_grad=False)
        for style in list(module.bank)[: record.styles.kept]:
            style.requires_grad_(requires_grad=False)
