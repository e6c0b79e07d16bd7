"""Pictures as they come: formats, modes, sizes, and everything that is wrong with them."""

import io
import struct
import warnings
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from variate.errors import DataError, DataWarning, SchemaError
from variate.image.arrays import Scale, channels_last, levels_of, scale_of
from variate.image.decoding import Form, decode, look
from variate.image.reading import Wanted, read

RNG = np.random.default_rng(0)


def noise(height, width, channels=None):
    shape = (height, width) if channels is None else (height, width, channels)
    return RNG.integers(0, 256, shape).astype(np.uint8)


def folder_of(path, count=6, size=(12, 16)):
    path.mkdir(exist_ok=True)
    for i in range(count):
        Image.fromarray(noise(*size, 3)).save(path / f"{i:02d}.png")
    return path


# ---- one picture ----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tiff"])
def test_lossless_formats_are_read_exactly(tmp_path, suffix):
    pixels = noise(9, 11, 3)
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(pixels).save(path, **({"lossless": True} if suffix == "webp" else {}))
    assert look(path).size == (9, 11)
    assert (decode(path, Form((9, 11), 3, False)) == pixels).all()


def test_a_rotated_photo_is_turned_upright(tmp_path):
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    path = tmp_path / "x.png"
    Image.fromarray(pixels).save(path, exif=exif)
    assert look(path).size == (16, 8)
    upright = decode(path, Form((16, 8), 1, False))
    assert (upright[:8] == 255).all()
    assert (upright[8:] == 0).all()


def test_transparency_is_laid_on_white_or_kept(tmp_path):
    path = tmp_path / "x.png"
    Image.new("RGBA", (8, 8), (10, 20, 30, 0)).save(path)
    assert look(path).alpha
    assert (decode(path, Form((8, 8), 3, False)) == 255).all()
    assert (decode(path, Form((8, 8), 4, False))[..., 3] == 0).all()


def test_palettes_and_bilevel_and_cmyk_are_read(tmp_path):
    colours = Image.fromarray(noise(8, 8, 3)).quantize(16)
    colours.save(tmp_path / "p.png")
    expected = np.asarray(colours.convert("RGB"))
    assert (decode(tmp_path / "p.png", Form((8, 8), 3, False)) == expected).all()
    Image.fromarray(noise(8, 8) > 99).save(tmp_path / "b.png")
    assert set(np.unique(decode(tmp_path / "b.png", Form((8, 8), 1, False)))) == {0, 255}
    Image.new("CMYK", (8, 8), (0, 0, 0, 0)).save(tmp_path / "c.jpg")
    assert (decode(tmp_path / "c.jpg", Form((8, 8), 3, False)) > 250).all()


def test_sixteen_bits_are_kept_or_brought_to_eight(tmp_path):
    values = (np.arange(64).reshape(8, 8) * 1000).astype(np.uint16)
    path = tmp_path / "x.png"
    Image.fromarray(values).save(path)
    assert look(path).deep
    assert (decode(path, Form((8, 8), 1, True))[..., 0] == values).all()
    eight = decode(path, Form((8, 8), 1, False))[..., 0]
    assert (eight == np.rint(values / 257)).all()
    smaller = decode(path, Form((4, 4), 1, True))
    assert abs(smaller.astype(float).mean() - values.mean()) < 500


def test_a_picture_is_cropped_around_its_centre_and_resized(tmp_path):
    pixels = np.zeros((20, 60), np.uint8)
    pixels[:, 20:40] = 200
    path = tmp_path / "x.png"
    Image.fromarray(pixels).save(path)
    cropped = decode(path, Form((10, 10), 1, False))
    assert (abs(cropped.astype(int) - 200) < 15).all()  # the edge is smoothed a little


def test_an_animation_gives_its_first_frame(tmp_path):
    path = tmp_path / "x.gif"
    frames = [Image.new("L", (8, 8), grey) for grey in (255, 0, 255)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert look(path).frames == 3
    assert (decode(path, Form((8, 8), 1, False)) == 255).all()


def test_a_huge_jpeg_is_decoded_small(tmp_path):
    path = tmp_path / "x.jpg"
    Image.new("L", (10_000, 10_000), 77).save(path, quality=30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = decode(path, Form((32, 32), 1, False))
    assert abs(int(small.mean()) - 77) < 3


def png_that_claims(width, height):
    """A PNG of a few bytes whose header claims a size."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 10_000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def test_bombs_are_refused():
    with pytest.raises(DataError, match="bomb"):
        look(png_that_claims(60_000, 60_000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError, match="more pixels than are decoded at once"):
            decode(png_that_claims(10_000, 10_000), Form((8, 8), 3, False))


# ---- folders ----------------------------------------------------------------------------------


def test_a_folder_of_one_size_keeps_it_and_one_of_several_does_not(tmp_path):
    path = folder_of(tmp_path / "a")
    found = read(path, Wanted())
    assert found.x.shape == (6, 3, 12, 16)
    assert found.names == [f"{i:02d}.png" for i in range(6)]
    Image.fromarray(noise(40, 30, 3)).save(path / "z.png")
    found = read(path, Wanted())
    assert found.x.shape == (7, 3, 64, 64)
    assert found.notes["resized"] == 7


def test_grey_folders_have_one_channel_and_black_and_white_ones_two_levels(tmp_path):
    for i in range(3):
        Image.fromarray(noise(10, 10)).save(tmp_path / f"{i}.png")
    grey = read(tmp_path, Wanted())
    assert grey.x.shape == (3, 1, 10, 10)
    assert grey.scale == Scale(256, 1.0)
    for i in range(3):
        Image.fromarray(noise(10, 10) > 99).save(tmp_path / f"{i}.png")
    binary = read(tmp_path, Wanted())
    assert binary.scale == Scale(2, 255.0)
    assert int(binary.x.max()) == 1


def test_what_cannot_be_read_is_left_out_and_named(tmp_path):
    path = folder_of(tmp_path / "a")
    (path / "notes.png").write_text("no picture")
    (path / "empty.png").write_bytes(b"")
    buffer = io.BytesIO()
    Image.fromarray(noise(60, 60, 3)).save(buffer, "JPEG")
    (path / "cut.jpg").write_bytes(buffer.getvalue()[:2000])
    with pytest.warns(DataWarning, match=r"3 of 9 pictures are left out.*truncated"):
        found = read(path, Wanted())
    assert len(found.x) == 6
    assert found.notes["skipped"] == 3
    assert "cut.jpg" in found.notes["skipped_first"]


def test_folders_without_pictures_say_what_they_hold(tmp_path):
    with pytest.raises(DataError, match="it is empty"):
        read(tmp_path, Wanted())
    (tmp_path / "x.csv").write_text("a")
    with pytest.raises(DataError, match=r"it holds \.csv"):
        read(tmp_path, Wanted())
    (tmp_path / "x.png").write_text("a")
    with pytest.raises(DataError, match=r"x\.png: it is no picture"):
        read(tmp_path, Wanted())
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "absent", Wanted())


def test_parquet_with_encoded_pictures(tmp_path):
    pixels = [noise(10, 10, 3) for _ in range(5)]
    encoded = []
    for each in pixels:
        buffer = io.BytesIO()
        Image.fromarray(each).save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    for name, column in (
        ("plain", pa.array(encoded)),
        ("records", pa.array([{"bytes": e, "path": "x"} for e in encoded])),
    ):
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"label": [1, 2, 3, 4, 5], "image": column}), path)
        found = read(path, Wanted())
        assert (found.x.permute(0, 2, 3, 1).numpy() == np.stack(pixels)).all()
    pq.write_table(pa.table({"label": [1]}), tmp_path / "none.parquet")
    with pytest.raises(DataError, match="no column of bytes"):
        read(tmp_path / "none.parquet", Wanted())


def test_pictures_of_pillow_are_read():
    images = [Image.fromarray(noise(10, 10)) for _ in range(4)]
    found = read(images, Wanted())
    assert (found.x[2, 0].numpy() == np.asarray(images[2])).all()
    assert found.outward.sort == "pictures"


# ---- arrays -----------------------------------------------------------------------------------


def test_the_axes_of_arrays_are_told_apart():
    assert channels_last((9, 28, 28), "x") == "nhw"
    assert channels_last((9, 28, 28, 3), "x") == "nhwc"
    assert channels_last((9, 3, 28, 28), "x") == "nchw"
    for shape, reason in (
        ((9, 3, 28, 3), "either axis"),
        ((9, 5, 28, 28), "no axis"),
        ((28, 28, 3), "one picture"),
        ((28, 28), "pictures are"),
    ):
        with pytest.raises(DataError, match=reason):
            channels_last(shape, "x")


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (np.array([0, 1, 1], np.uint8), Scale(2, 1.0)),
        (np.array([True, False]), Scale(2, 1.0)),
        (np.array([0, 255, 255], np.uint8), Scale(2, 255.0)),
        (np.array([0, 254], np.uint8), Scale(256, 1.0)),
        (np.array([0, 16.0]), Scale(17, 1.0)),
        (np.array([0, 200]), Scale(256, 1.0)),
        (np.array([0, 1000], np.uint16), Scale(1024, 1.0)),
        (np.array([0, 65_535], np.uint16), Scale(65_536, 1.0)),
        (np.array([0, 7, 255]) / 255, Scale(256, 1 / 255)),
        ((np.array([0, 7, 255]) / 255).astype(np.float32), Scale(256, 1 / 255)),
    ],
)
def test_the_levels_of_arrays(values, scale):
    assert scale_of(values, "x") == scale
    levels = levels_of(values, scale, "x")
    assert np.allclose(levels * scale.unit, values.astype(float))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array([-1.0, 0.5]), r"\(x \+ 1\) \* 127\.5"),
        (np.array([-5, 3]), "levels from 0 on"),
        (np.array([0.0, 0.1234]), r"np\.round\(x \* 255\)"),
        (np.array([0.0, 200.5]), r"np\.round\(x\)"),
        (np.array([0.0, np.nan]), "picture 1.*nan"),
        (np.array([0, 70_000]), "at most 16 bits"),
        (np.array(["a"]), "pixels are numbers"),
    ],
)
def test_what_is_no_level_is_refused(values, reason):
    with pytest.raises(DataError, match=reason):
        scale_of(values, "x")


def test_arrays_are_checked_against_what_is_known():
    known = Wanted((9, 9), 1, Scale(256, 1.0), deep=False)
    x = noise(3, 9, 9)
    assert read(x, known).x.shape == (3, 1, 9, 9)
    assert read(x[..., None], known).x.shape == (3, 1, 9, 9)
    assert (read(x / 255, known).x.numpy()[:, 0] == x).all()
    with pytest.warns(DataWarning, match="multiply by 255"):
        read((x > 99).astype(float), known)
    with pytest.raises(SchemaError, match="2 levels"):
        read(x, Wanted((9, 9), 1, Scale(2, 1.0)))
    with pytest.raises(SchemaError, match="3 channels"):
        read(noise(3, 9, 9)[..., None].repeat(3, -1), known)


def test_npy_and_npz(tmp_path):
    x = noise(5, 9, 9)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x, labels=np.arange(5))
    for name in ("x.npy", "x.npz"):
        assert (read(tmp_path / name, Wanted()).x[:, 0].numpy() == x).all()
    np.savez(tmp_path / "two.npz", a=x, b=x)
    with pytest.raises(DataError, match="2 arrays"):
        read(tmp_path / "two.npz", Wanted())
    (tmp_path / "bad.npy").write_text("a")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "bad.npy", Wanted())
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "objects.npy", Wanted())
