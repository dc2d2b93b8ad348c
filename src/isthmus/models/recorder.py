"""`Recorder`: the outputs of single layers of a network that other threads use as well."""

import copy
import itertools
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from torch import Tensor, nn

from isthmus.models.layers import AnyModule


class Recorder:
    """A copy of a network that returns what leaves some of its modules.

    A forward hook catches the batches of everybody who calls its module. The hooks are therefore on
    a copy of the modules, which shares parameters and buffers with the original and belongs to one
    caller; copying takes about a millisecond.

    Parameters
    ----------
    network : nn.Module
        Left as it is.
    names : sequence of str
        Names of modules, as of `named_modules`, in the order in which a sample passes them. A pass
        ends after the last one.
    """

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        self._network = copy_modules(network)
        self._outputs: dict[str, Tensor] = {}
        for name in names:
            hook = partial(self._record, name, name == names[-1])
            self._network.get_submodule(name).register_forward_hook(hook)

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        """Return the outputs for a batch x by module name, as float32."""
        # An exception ends a pass early whatever the network looks like inside; computing the
        # layers behind the last wanted one would often be most of the work.
        with suppress(_LastRecorded):
            self._network(x)
        outputs, self._outputs = self._outputs, {}
        return outputs

    def _record(self, name: str, is_last: bool, module: Any, x: Any, output: Tensor) -> None:
        self._outputs[name] = output.float()
        if is_last:
            raise _LastRecorded


class _LastRecorded(Exception):  # noqa: N818 - no error: it ends a pass early
    """The last of the wanted outputs is recorded."""


def copy_modules(network: AnyModule) -> AnyModule:
    """Return a copy of the modules that shares their parameters and buffers."""
    # `deepcopy` takes what its memo holds for copied already.
    tensors = itertools.chain(network.parameters(), network.buffers())
    return copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})
