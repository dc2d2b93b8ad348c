"""`MaskTable`: collects what the masks of a source hold, while they are decoded."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from isthmus.data.manifest import Manifest
from isthmus.data.masks.checks import Seen, explain_colors, reject_palettes
from isthmus.data.masks.legends import find_legend
from isthmus.data.masks.mask import MAX_VALUES, Mask, MaskValue


class MaskTable:
    """Collects the values of masks, one after the other, and numbers them from 0 to 255.

    Gray values and indices are their own numbers as long as these are free, so that masks of
    class numbers are stored as they are.

    Parameters
    ----------
    manifest : Manifest
    source : str
        Name of the source, for messages.
    """

    def __init__(self, manifest: Manifest, source: str) -> None:
        self.manifest, self.source = manifest, source
        self.found: dict[MaskValue, Seen] = {}
        self._numbers: dict[MaskValue, int] = {}
        self._free = dict.fromkeys(reversed(range(MAX_VALUES)))

    def add(self, mask: Mask, name: str) -> NDArray[np.uint8] | None:
        """Note the values of a mask; return their numbers (256,) unless all are their own."""
        numbers = [
            self._note(value, count, name)
            for value, count in zip(mask.values, mask.counts.tolist(), strict=True)
        ]
        if numbers == mask.places.tolist():
            return None
        lookup = np.zeros(256, np.uint8)
        lookup[mask.places] = numbers
        return lookup

    def complete(self) -> tuple[NDArray[np.uint8] | None, Manifest]:
        """Return the class of each number (256,), None if all are their own; name the classes.

        Raises
        ------
        SourceError
            If the values cannot be those of classes.
        """
        manifest = self.manifest
        legend = find_legend(self.found, self.source, manifest.class_names, manifest.class_colors)
        lookup = np.arange(256, dtype=np.uint8)
        for value, number in self._numbers.items():
            lookup[number] = legend.classes[value]
        findings = manifest.findings.add(legend.notes)
        manifest = replace(manifest, class_names=legend.names, findings=findings)
        return (None if (lookup == np.arange(256)).all() else lookup), manifest

    def _note(self, value: MaskValue, count: int, name: str) -> int:
        seen = self.found.get(value)
        if seen is None:
            self.found[value] = Seen(count, name)
            self._numbers[value] = self._take_number(value, name)
        else:
            seen.count += count
        return self._numbers[value]

    def _take_number(self, value: MaskValue, name: str) -> int:
        if not self._free:
            reject_palettes(self.found, self.source)
            raise explain_colors(self.found, self.source, name)
        number = value.number if value.number in self._free else next(iter(self._free))
        del self._free[number]
        return number
