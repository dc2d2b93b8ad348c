"""Denoisers on files: what came in comes out, cleaned, with all of its bits."""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from denoisers import untrained
from isthmus import configure, denoise_values
from isthmus.data.pictures.decoding import Picture, decode_picture
from isthmus.data.preprocess import Preprocessing
from isthmus.denoising import Denoised, denoise, estimate_noise, pictures
from isthmus.denoising.ledger import DENOISED
from isthmus.denoising.originals import Original
from isthmus.denoising.wide import Sheet, write_png
from isthmus.errors import ModelError, SourceError
from isthmus.inference.trained import TrainedModel

Refused = Callable[..., AbstractContextManager[None]]
PLAIN = Preprocessing()

# Of lossless formats: channels (of which 2 and 4 have alpha) and types of numbers.
FORMATS = {
    "png": [(c, t) for c in (1, 2, 3, 4) for t in ("uint8", "uint16")],
    "tif": [(c, t) for c in (1, 2, 3, 4, 5) for t in ("uint8", "uint16", "float32")],
    "bmp": [(1, "uint8"), (3, "uint8")],
    "ppm": [(3, "uint8"), (3, "uint16")],
    "pgm": [(1, "uint8"), (1, "uint16")],
    "webp": [(3, "uint8"), (4, "uint8")],
    "tga": [(1, "uint8"), (3, "uint8"), (4, "uint8")],
    "jp2": [(1, "uint8"), (3, "uint8"), (4, "uint8"), (1, "uint16")],
}
CASES = [(suffix, *case) for suffix, cases in FORMATS.items() for case in cases]


def numbers(height: int, width: int, channels: int, kind: str, seed: int = 0) -> NDArray[Any]:
    values = np.random.default_rng(seed).integers(0, 65536, (height, width, channels))
    if kind == "float32":
        return (values / 65535).astype(np.float32)
    return values.astype(np.uint16) if kind == "uint16" else (values % 256).astype(np.uint8)


def write(path: Path, values: NDArray[Any]) -> None:
    """Write a picture; not by the code that is tested, where another library can."""
    height, width, channels = values.shape
    if path.suffix == ".tif":
        extras = {2: ["unassalpha"], 4: ["unassalpha"], 5: ["unspecified"] * 4}.get(channels)
        photometric = "rgb" if channels in (3, 4) else "minisblack"
        layout = "contig" if channels > 1 else None
        tifffile.imwrite(
            path, values, photometric=photometric, extrasamples=extras, planarconfig=layout
        )
    elif values.dtype == np.uint16 and path.suffix == ".ppm":
        header = f"P6\n{width} {height}\n65535\n".encode()
        path.write_bytes(header + values.astype(">u2").tobytes())
    elif values.dtype == np.uint16 and channels > 1:
        original = Original(b"", PLAIN, Picture(values, height, width, 1, "16-bit"))
        alpha = values[..., -1] if channels in (2, 4) else None
        sheet = Sheet(values if alpha is None else values[..., :-1], alpha, "16-bit")
        path.write_bytes(write_png([sheet], original, set()))
    else:
        options: dict[str, Any] = (
            {"lossless": True, "exact": True} if path.suffix == ".webp" else {}
        )
        Image.fromarray(values[..., 0] if channels == 1 else values).save(path, **options)


def read(path: Path) -> tuple[NDArray[Any], str]:
    """Return all numbers of a picture, and what its file says of them."""
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as file:
            page: Any = file.pages[0]
            values = page.asarray()
            kind = f"{page.photometric}, {page.extrasamples}, {page.bitspersample} bits"
            return values.reshape(*values.shape[:2], -1), kind
    whole = decode_picture(path.read_bytes(), PLAIN, is_whole=True)
    with Image.open(path) as picture:
        kind = f"{picture.format}, {picture.mode}, {whole.kind}"
    alpha = [] if whole.alpha is None else [whole.alpha[..., None]]
    return np.concatenate([whole.pixels, *alpha], axis=2), kind


@pytest.fixture(scope="module")
def silent() -> TrainedModel:
    return untrained(joined=True, silent=True)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    case=st.sampled_from(CASES),
    height=st.sampled_from([1, 2, 5, 16, 33]),
    width=st.sampled_from([1, 3, 8, 21]),
    seed=st.integers(0, 99),
)
def test_what_comes_in_comes_out_if_there_is_no_noise(
    silent: TrainedModel,
    tmp_path_factory: pytest.TempPathFactory,
    case: tuple[str, int, str],
    height: int,
    width: int,
    seed: int,
) -> None:
    suffix, channels, kind = case
    folder = tmp_path_factory.mktemp("files")
    before, after = folder / f"before.{suffix}", folder / f"after.{suffix}"
    write(before, numbers(height, width, channels, kind, seed))
    assert denoise(silent, before, after) == Denoised(1)
    (values, described), (clean, described_after) = read(before), read(after)
    assert described_after == described
    assert clean.dtype == values.dtype
    np.testing.assert_array_equal(clean, values)


def test_all_bits_of_a_file_are_denoised_and_its_alpha_is_not(tmp_path: Path) -> None:
    model = untrained()
    for channels in (1, 2, 3, 4):
        values = numbers(20, 24, channels, "uint16")
        for suffix in ("png", "tif"):
            noisy, clean = tmp_path / f"{channels}.{suffix}", tmp_path / f"c{channels}.{suffix}"
            write(noisy, values)
            assert denoise(model, noisy, clean) == Denoised(1)
            colors = {2: 1, 4: 3}.get(channels, channels)
            answer = denoise_values(model, values[..., :colors])
            np.testing.assert_array_equal(read(clean)[0][..., :colors], answer)
            np.testing.assert_array_equal(read(clean)[0][..., colors:], values[..., colors:])


def test_colors_behind_transparency_are_those_of_the_file(tmp_path: Path) -> None:
    values = numbers(9, 9, 4, "uint8")
    values[..., 3] = 0
    write(tmp_path / "clear.png", values)
    denoise(untrained(silent=True), tmp_path / "clear.png", tmp_path / "clean.png")
    np.testing.assert_array_equal(read(tmp_path / "clean.png")[0], values)


def test_palettes_and_single_bits_stay_what_they_are(silent: TrainedModel, tmp_path: Path) -> None:
    noisy, clean = tmp_path / "noisy", tmp_path / "clean"
    noisy.mkdir()
    indexed = Image.fromarray(numbers(8, 12, 3, "uint8")).quantize(9)
    for suffix in ("png", "bmp", "gif", "tif"):
        indexed.save(noisy / f"palette.{suffix}")
    indexed.save(noisy / "clear.png", transparency=2)
    indexed.save(noisy / "clear.gif", transparency=2)
    for suffix in ("png", "bmp", "pbm", "tif"):
        Image.fromarray(numbers(8, 12, 1, "uint8")[..., 0] > 127).save(noisy / f"one.{suffix}")
    assert denoise(silent, noisy, clean) == Denoised(10)
    for path in noisy.iterdir():
        with Image.open(path) as before, Image.open(clean / path.name) as after:
            assert (after.mode, after.size, after.format) == (
                before.mode,
                before.size,
                before.format,
            )
            seen = [np.asarray(one.convert("RGBA")).astype(int) for one in (before, after)]
        visible = seen[0][..., 3] > 0
        np.testing.assert_array_equal(seen[0][..., 3], seen[1][..., 3])
        np.testing.assert_array_equal(seen[0][visible], seen[1][visible])


def test_a_turned_photograph_is_denoised_upright_and_keeps_what_describes_it(
    tmp_path: Path,
) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"  # a quarter turn
    values = numbers(10, 16, 3, "uint16")
    tifffile.imwrite(
        tmp_path / "turned.tif",
        values,
        photometric="rgb",
        resolution=(300, 300),
        resolutionunit="INCH",
        iccprofile=b"profile",
        extratags=[(0x0112, 3, 1, 6, True), (0x010F, 2, 6, "Maker", True)],
    )
    done = denoise(untrained(silent=True), tmp_path / "turned.tif", tmp_path / "clean.tif")
    assert done == Denoised(1)
    upright = np.rot90(values, -1)
    np.testing.assert_array_equal(read(tmp_path / "clean.tif")[0], upright)
    with tifffile.TiffFile(tmp_path / "clean.tif") as file:
        tags: Any = file.pages[0].tags  # type: ignore[union-attr]
        assert (tags["Make"].value, tags["XResolution"].value) == ("Maker", (300, 1))
        assert tags["InterColorProfile"].value == b"profile"
        assert 0x0112 not in tags
    photo = numbers(10, 16, 3, "uint8")
    Image.fromarray(photo).save(tmp_path / "turned.png", exif=exif)
    denoise(untrained(silent=True), tmp_path / "turned.png", tmp_path / "clean.png")
    np.testing.assert_array_equal(read(tmp_path / "clean.png")[0], np.rot90(photo, -1))


def test_a_tiff_without_resolution_gets_none(tmp_path: Path) -> None:
    Image.fromarray(numbers(10, 16, 3, "uint8")).save(tmp_path / "noisy.tif")
    denoise(untrained(), tmp_path / "noisy.tif", tmp_path / "clean.tif")
    with Image.open(tmp_path / "clean.tif") as picture:
        assert 282 not in picture.getexif()  # the tag of the resolution across


def test_a_png_of_sixteen_bits_keeps_profile_exif_and_resolution(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    values = numbers(6, 7, 3, "uint16")
    described = Picture(values, 6, 7, 1, "16-bit RGB")
    original = Original(b"", PLAIN, described, b"profile", exif, (300.0, 300.0))
    content = write_png([Sheet(values, None, "16-bit RGB")], original, set())
    (tmp_path / "noisy.png").write_bytes(content)
    done = denoise(untrained(silent=True), tmp_path / "noisy.png", tmp_path / "clean.png")
    assert done == Denoised(1)
    with Image.open(tmp_path / "clean.png") as picture:
        assert picture.info["icc_profile"] == b"profile"
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        assert picture.getexif()[0x010F] == "Maker"


def test_all_pages_of_a_stack_keep_their_bits(tmp_path: Path, silent: TrainedModel) -> None:
    stack = [numbers(8, 9, 3, "uint16", seed) for seed in range(3)]
    with tifffile.TiffWriter(tmp_path / "stack.tif") as file:
        for page in stack:
            file.write(page, photometric="rgb")
    assert denoise(silent, tmp_path / "stack.tif", tmp_path / "clean.tif") == Denoised(1)
    with tifffile.TiffFile(tmp_path / "clean.tif") as file:
        pages = np.stack([page.asarray() for page in file.pages])
    np.testing.assert_array_equal(pages, np.stack(stack))


@pytest.mark.parametrize("kind", ["float64", "float16", "int32", "uint32"])
def test_rare_types_of_numbers_stay(kind: str, tmp_path: Path, silent: TrainedModel) -> None:
    values = numbers(7, 9, 1, "float32")[..., 0]
    values = (values * 1000 if "int" in kind else values).astype(kind)
    tifffile.imwrite(tmp_path / "noisy.tif", values)
    assert denoise(silent, tmp_path / "noisy.tif", tmp_path / "clean.tif") == Denoised(1)
    clean = tifffile.imread(tmp_path / "clean.tif")
    assert (clean.dtype, clean.shape) == (values.dtype, values.shape)
    np.testing.assert_allclose(clean, values, atol=1e-3 if kind == "float16" else 1e-6)


def test_what_cannot_be_kept_is_said(tmp_path: Path, silent: TrainedModel) -> None:
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    many = Image.fromarray(numbers(40, 40, 3, "uint8"))
    many.save(noisy / "photo.png")
    Image.fromarray(numbers(8, 8, 1, "uint16")[..., 0]).save(tmp_path / "deep.png")
    many.convert("CMYK").save(noisy / "print.jpg")
    told = {loss.what: loss.example for loss in denoise(silent, noisy, tmp_path / "clean").lost}
    assert told["CMYK, written as RGB"] == "print.jpg"
    done = denoise(silent, tmp_path / "deep.png", tmp_path / "deep.jpg")
    assert [loss.what for loss in done.lost] == ["more than 8 bits"]
    done = denoise(silent, noisy / "photo.png", tmp_path / "photo.gif")
    assert [loss.what for loss in done.lost] == ["colors: a GIF has 256"]


def test_bands_that_a_model_does_not_take_are_skipped_with_a_reason(
    tmp_path: Path, refused: Refused
) -> None:
    write(tmp_path / "five.tif", numbers(8, 8, 5, "uint8"))
    with refused(SourceError, "five.tif"), refused_names(tmp_path):
        denoise(untrained(3), tmp_path / "five.tif", tmp_path / "clean.tif")
    assert not (tmp_path / "clean.tif").exists()


class refused_names(AbstractContextManager[None]):  # noqa: N801 - reads as a sentence
    """Expect an error that names no option that `isthmus denoise` does not have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        assert "5 channels" in str(error)
        assert "--channels" not in str(error)


def test_an_autoencoder_names_no_option_of_training_either(
    tmp_path: Path, refused: Refused
) -> None:
    config = configure("dense", (1, 8, 8))
    older = TrainedModel(config, Preprocessing(size=(8, 8), channels=1), config.build().eval())
    write(tmp_path / "five.tif", numbers(8, 8, 5, "uint8"))
    with refused(SourceError, "five.tif", "take a model that was trained with --channels"):
        denoise(older, tmp_path / "five.tif", tmp_path / "clean.tif")


def test_the_order_of_bytes_changes_no_number(tmp_path: Path) -> None:
    model, values = untrained(), numbers(16, 20, 3, "uint16").transpose(2, 0, 1)
    swapped = values.astype(">u2")  # as telescopes write them
    wanted = denoise_values(model, values)
    np.testing.assert_array_equal(denoise_values(model, swapped), wanted)
    assert estimate_noise(swapped[0]) == estimate_noise(values[0])
    np.save(tmp_path / "noisy.npy", swapped)
    denoise(model, tmp_path / "noisy.npy", tmp_path / "clean.npy")
    clean = np.load(tmp_path / "clean.npy")
    assert clean.dtype == swapped.dtype
    np.testing.assert_array_equal(clean[..., 0], wanted)


def test_arrays_keep_their_type_and_signals_are_refused(tmp_path: Path, refused: Refused) -> None:
    model = untrained()
    for kind in ("uint8", "uint16", "float32"):
        values = numbers(16, 20, 10, kind).transpose(2, 0, 1)  # ten images (16, 20)
        np.save(tmp_path / "noisy.npy", values)
        out = tmp_path / f"{kind}.npy"
        assert denoise(model, tmp_path / "noisy.npy", out) == Denoised(10)
        clean = np.load(out)
        assert (clean.dtype, clean.shape) == (values.dtype, (10, 16, 20, 1))
        np.testing.assert_array_equal(clean[..., 0], denoise_values(model, values))
    np.save(tmp_path / "signals.npy", np.zeros((10, 300), np.float32))
    with refused(ModelError, "a denoiser takes images, and these are signals"):
        denoise(model, tmp_path / "signals.npy", tmp_path / "clean.npy")
    assert not (tmp_path / "clean.npy").exists()


def test_a_folder_that_was_left_is_completed(
    tmp_path: Path, silent: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy, clean = tmp_path / "noisy", tmp_path / "clean"
    noisy.mkdir()
    monkeypatch.setattr(pictures, "WHOLE_BATCH", 1)
    for i in range(6):
        write(noisy / f"{i}.png", numbers(9, 8, 3, "uint8", i))

    def stop(items: Any, total: int, title: str) -> Any:
        for i, item in enumerate(items):
            if i == 4:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        denoise(silent, noisy, clean, track=stop)
    done = sorted(path.name for path in clean.glob("*.png"))
    assert 0 < len(done) < 6
    before = {name: (clean / name).stat().st_mtime_ns for name in done}
    assert denoise(silent, noisy, clean) == Denoised(6)
    assert {name: (clean / name).stat().st_mtime_ns for name in done} == before
    assert not (clean / DENOISED).exists()


def test_floats_of_another_scale_are_named_with_a_way_out(tmp_path: Path) -> None:
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    for i in range(20):
        write(noisy / f"{i}.png", numbers(4, 4, 1, "uint8", i))
    counts = numbers(4, 4, 1, "float32")[..., 0] * 4000
    tifffile.imwrite(noisy / "counts.tif", counts)
    done = denoise(untrained(), noisy, tmp_path / "clean")
    ((name, reason),) = done.skipped
    assert name == "counts.tif"
    assert "floats from" in reason
    assert "train a model on such files with --stretch" in reason


def test_the_content_of_a_file_may_be_in_memory(tmp_path: Path, silent: TrainedModel) -> None:
    import zipfile

    values = numbers(5, 4, 3, "uint16")
    content = io.BytesIO()
    tifffile.imwrite(content, values, photometric="rgb")
    with zipfile.ZipFile(tmp_path / "noisy.zip", "w") as archive:
        archive.writestr("deep.tif", content.getvalue())
    assert denoise(silent, tmp_path / "noisy.zip", tmp_path / "clean") == Denoised(1)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "clean" / "deep.tif"), values)
