"""`stylize_values`: photographs in, paintings out; `stylize`: the same for files."""

from isthmus.styling.files import Stylized, stylize
from isthmus.styling.values import stylize_values

__all__ = ["Stylized", "stylize", "stylize_values"]
