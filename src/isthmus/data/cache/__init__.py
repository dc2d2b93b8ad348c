"""The cache of decoded samples: each source is decoded once and then opened by memory map.

Decoding is by far the slowest part of loading: 13,233 photographs take seconds, opening them
again takes milliseconds, whatever their number, and they may be larger than memory. In the folder
`samples` of the cache lie

KEY/
    An entry (see `forms`): the pixels or signals as one raw file, masks or clean images as another,
    the rest as sealed JSON (see `sealed`), with checksums of the large files. `checked.json` says
    when they were compared last (see `verification`); its time is that of the last opening.
KEY.alias
    The key of the entry that answers this request as well.
KEY.stretch
    The smallest and the largest value of a source; see `isthmus.data.stretch`.
.KEY.lock
    Held while an entry is being decoded, or all of it is checked.

An entry is whole or absent: it is written under a temporary name, flushed and renamed. It is
removed whole too. Its key is a hash of everything that its content depends on, including names,
sizes and times of the source's files, so a changed source has another key and nothing ever has to
be invalidated. What is damaged nevertheless is decoded again, and a note of the report says so.
"""

from isthmus.data.cache.cleaning import Cleaning, clean, clear
from isthmus.data.cache.folder import cache_folder
from isthmus.data.cache.opening import open_or_decode, open_or_decode_images
from isthmus.data.cache.tracking import Track, untracked

__all__ = [
    "Cleaning",
    "Track",
    "cache_folder",
    "clean",
    "clear",
    "open_or_decode",
    "open_or_decode_images",
    "untracked",
]
