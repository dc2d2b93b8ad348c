"""`Dataset`: a named data set, where its files are and whether they are those published."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from isthmus.data.manifest import Manifest
from isthmus.data.published import Remote, find_fault, is_verified, remember
from isthmus.data.reading import Reading
from isthmus.data.samples import VOID
from isthmus.errors import SourceError, first_sentence


@dataclass(frozen=True)
class Dataset:
    """A row of `isthmus.data.catalog.DATASETS`.

    Parameters
    ----------
    name, description, counts, origin : str
        For people: what it is, how many samples it has, where it comes from.
    hub : str
        Its name on the Hugging Face Hub, if it is there.
    files : tuple of Remote
        The files to download.
    alternatives : tuple of str
        Other files or folders in `folder` that hold the same set, any of which is enough.
    crop, size : optional
        Preprocessing, unless the user asks for another.
    allows_flip : bool
        Whether a mirrored sample is as likely as the sample.
    class_names : tuple of str
        Names of the classes, where the files do not hold them.
    has_masks : bool
        Whether each sample has a mask.
    void : int, optional
        Value of the masks for pixels of no class, in addition to 255.
    instructions : str
        For people: how to get a set that cannot be downloaded, to be followed by the folder.
    read : callable, optional
        Reads a set that ships with a dependency.
    """

    name: str
    description: str
    counts: str
    origin: str
    hub: str = ""
    files: tuple[Remote, ...] = ()
    alternatives: tuple[str, ...] = ()
    crop: int | None = None
    size: tuple[int, int] | None = None
    allows_flip: bool = False
    class_names: tuple[str, ...] = ()
    has_masks: bool = False
    void: int | None = None
    instructions: str = ""
    read: Callable[[Path, int | None, Reading | None], Manifest] | None = None

    @property
    def folder(self) -> Path:
        """The folder for the set's files, whether it exists or not."""
        return data_folder() / self.name

    @property
    def is_present(self) -> bool:
        """Whether the set can be loaded without fetching it."""
        return self.read is not None or self._find_file() is not None

    def locate(self) -> Path:
        """Return the file or folder to read.

        Raises
        ------
        SourceError
            If the set has not been fetched.
        """
        if self.read is not None:
            return Path(self.name)
        file = self._find_file()
        if file is None:
            remedy = self._instructions() or f"run isthmus data fetch {self.name}"
            raise SourceError(f"the data set {self.name} is not in {self.folder}; {remedy}.")
        return file

    def complete(self, manifest: Manifest) -> Manifest:
        """Add class names and the void value, which are not in the files.

        Raises
        ------
        SourceError
            If the set should have masks and they are missing.
        """
        if self.has_masks and manifest.masks is None:
            raise SourceError(
                f"{self.folder} holds no masks that belong to the pictures of {self.name}; "
                f"{self._instructions() or 'delete it and fetch it again'}."
            )
        # A set that numbers its void pixels, such as CamVid by 11, gets them moved to `VOID`.
        legend = manifest.legend
        if self.void is not None:
            legend = bytes(VOID if value == self.void else value for value in range(256))
        class_names = self.class_names or manifest.class_names
        return replace(manifest, class_names=class_names, legend=legend)

    def verify(self) -> None:
        """Compare the files that are present with their checksums.

        Raises
        ------
        SourceError
            If one differs.
        """
        for remote in self.files:
            file = self.folder / remote.name
            if file.exists():
                self._verify(file, remote)

    def _verify(self, file: Path, remote: Remote) -> None:
        if is_verified(file, remote):
            return
        try:
            fault = find_fault(file, remote)
        except OSError as error:
            raise SourceError(f"{file} cannot be read: {first_sentence(error)}.") from error
        if fault:
            raise SourceError(
                f"{file} does not have the published content of {self.name} ({fault}); move it "
                f"away and run isthmus data fetch {self.name}, or give the file itself as a source."
            )
        remember(file, remote)

    def _instructions(self) -> str:
        return f"{self.instructions} into {self.folder}" if self.instructions else ""

    def _find_file(self) -> Path | None:
        # Several files are read as one folder, so all of them must be there.
        fetched = [self.folder / remote.name for remote in self.files]
        if fetched and all(file.exists() for file in fetched):
            return self.folder if len(fetched) > 1 else fetched[0]
        return next(
            (self.folder / name for name in self.alternatives if (self.folder / name).exists()),
            None,
        )


def data_folder() -> Path:
    """Return the folder of the named sets: `ISTHMUS_DATA`, or the user's data folder."""
    return Path(os.environ.get("ISTHMUS_DATA") or platformdirs.user_data_dir("isthmus"))
