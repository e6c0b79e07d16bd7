"""The codec of pictures: both directions, its state, binarisation by chance, pictures out."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from variate.errors import DataError, OptionError, OutputError, SchemaError
from variate.image.binarizing import binarized
from variate.image.codec import ImageCodec, rendered
from variate.image.pictures import animate, grid, heat, write_folder, write_picture
from variate.image.sources import NumberedSource, source_of
from variate.training import Source

SHAPES = {"nhw": (5, 9, 8), "nhwc": (5, 9, 8, 3), "nchw": (5, 4, 9, 8)}


@given(
    axes=st.sampled_from(sorted(SHAPES)),
    form=st.sampled_from(["bits", "bytes", "shares", "bool", "ends", "words", "floats"]),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=60, deadline=None)
def test_arrays_come_back_as_they_were(axes, form, seed):
    rng = np.random.default_rng(seed)
    grey = rng.integers(0, 256, SHAPES[axes])
    x = {
        "bits": lambda: (grey > 99).astype(np.uint8),
        "bytes": lambda: grey.astype(np.uint8),
        "shares": lambda: (grey / 255).astype(np.float32),
        "bool": lambda: grey > 99,
        "ends": lambda: ((grey > 99) * 255).astype(np.uint8),
        "words": lambda: (grey * 256).astype(np.uint16),
        "floats": lambda: (grey % 17).astype(np.float64),
    }[form]()
    codec = ImageCodec().fit(x)
    tensor = codec.encode(x)
    assert tensor.shape == (5, codec.channels, 9, 8)
    assert tensor.dtype == (torch.int32 if codec.levels > 256 else torch.uint8)
    again = ImageCodec.from_state(codec.state())
    for each in (codec, again):
        back = each.decode(each.encode(x))
        assert back.dtype == x.dtype
        assert np.array_equal(back, x) if form != "shares" else np.allclose(back, x, atol=1e-6)
    assert codec.eight_bits(back).shape == (5, 9, 8, codec.channels)


def test_pictures_of_pillow_come_back_as_such():
    images = [Image.fromarray(np.full((10, 10, 3), grey, np.uint8)) for grey in (1, 2, 250)]
    codec = ImageCodec().fit(images)
    back = codec.decode(codec.encode(images))
    assert all(
        np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(images, back, strict=True)
    )


def test_what_comes_later_must_fit():
    codec = ImageCodec().fit(np.zeros((4, 10, 10), np.uint8))
    assert codec.levels == 2
    with pytest.raises(SchemaError, match="the 2 levels"):
        codec.encode(np.full((1, 10, 10), 7, np.uint8))
    codec = ImageCodec().fit(np.full((4, 10, 10), 200, np.uint8))
    assert codec.encode(np.full((2, 30, 40), 100, np.uint8)).shape == (2, 1, 10, 10)
    with pytest.raises(DataError, match="one picture"):
        codec.encode(np.zeros((10, 10, 3), np.uint8))


def test_sizes_and_channels_that_no_model_has():
    with pytest.raises(DataError, match="choose another size"):
        ImageCodec().fit(np.zeros((5, 6, 6), np.uint8))
    with pytest.raises(OptionError, match="binarize is for grey"):
        ImageCodec(binarize=True).fit(np.zeros((5, 9, 9, 3), np.uint8))
    with pytest.raises(ValueError, match="no pictures are like this"):
        ImageCodec.from_state({
            "size": [10**6, 10**6], "channels": 1, "grey": [256, 1.0], "binarize": False,
            "seed": 0, "outward": ["array", "nhw", "uint8"],
        })  # fmt: skip


def test_arrays_are_resized_where_a_size_is_asked_for():
    x = np.full((3, 40, 20), 77, np.uint8)
    codec = ImageCodec(16).fit(x)
    assert codec.size == (16, 16)
    assert (codec.encode(x) == 77).all()


# ---- binary by chance -------------------------------------------------------------------------


def test_the_chance_of_a_one_is_the_grey_level():
    x = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).repeat(4000, 1, 1, 1)
    source = source_of(x, torch.arange(4000), 256, large=False)
    assert isinstance(source, Source)
    drawn = next(source.batches(0, 4000, seed=3)).float().mean(0).flatten()
    expected = torch.arange(256) / 255
    error = (expected * (1 - expected) / 4000).sqrt()
    assert (abs(drawn - expected) <= 4.5 * error).all()  # and exactly 0 and 1 at the ends


def test_each_step_draws_anew_and_can_be_entered():
    x = torch.randint(0, 256, (50, 1, 8, 8), dtype=torch.uint8)
    for large in (False, True):
        source = source_of(x, torch.arange(10, 50), 256, large=large)
        stream = source.batches(0, 40, seed=1)
        first, second = next(stream), next(stream)
        assert (first.sum(0) != second.sum(0)).any()
        assert torch.equal(next(source.batches(1, 40, seed=1)), second)
        assert set(source.rows(0, 40, seed=1).tolist()) == set(range(40))


def test_pictures_on_the_disk_come_in_the_order_of_those_in_memory():
    x = torch.randint(0, 256, (50, 1, 8, 8), dtype=torch.uint8)
    numbers = torch.arange(10, 50)
    source = NumberedSource(x, numbers)
    assert isinstance(source, Source)
    batch = next(source.batches(3, 16, seed=1))
    assert torch.equal(batch, x[numbers[source.rows(3, 16, seed=1)]])
    halves = [next(source.batches(3, 16, seed=1, rank=r, world=2)) for r in range(2)]
    assert torch.equal(torch.cat(halves), batch)
    assert torch.equal(source_of(x, numbers, None, large=False), x[10:])


def test_a_picture_is_binarised_alike_beside_any_others():
    x = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8)
    whole = binarized(x, 256, 0)
    assert torch.equal(binarized(x[[7, 3]], 256, 0), whole[[7, 3]])
    assert not torch.equal(binarized(x, 256, 1), whole)
    codec = ImageCodec(binarize=True).fit(x[:, 0].numpy())
    back = codec.decode(codec.encode(x[:, 0].numpy()))
    assert set(np.unique(back)) == {0, 255}


# ---- pictures out -----------------------------------------------------------------------------


def test_grids_have_gaps_and_enlarge_by_whole_factors():
    pixels = np.zeros((6, 8, 8, 1), np.uint8)
    sheet = grid(pixels, 3, gap=2, most=64)
    assert sheet.shape == (2 * 18 + 2, 3 * 18 + 2, 1)
    assert (sheet[2:18, 2:18] == 0).all()
    assert sheet[0, 0] == 253


def test_written_pictures_can_be_read(tmp_path):
    x = rendered(torch.tensor([0, 16]).repeat(64)[:128].reshape(2, 1, 8, 8), 17)
    assert set(np.unique(x)) == {0, 255}
    for name in ("x.png", "x.webp", "x.bmp"):
        write_picture(x[0], tmp_path / name)
        with Image.open(tmp_path / name) as again:
            assert np.array_equal(np.asarray(again.convert("L")), x[0, ..., 0])
    write_folder(x, tmp_path / "some")
    assert [p.name for p in sorted((tmp_path / "some").iterdir())] == ["00000.png", "00001.png"]
    with pytest.raises(OutputError, match="not empty"):
        write_folder(x, tmp_path / "some")
    for name in ("x.gif", "y.webp"):
        animate(np.concatenate([x, 255 - x]), tmp_path / name, there_and_back=True)
        with Image.open(tmp_path / name) as moving:
            assert moving.n_frames > 1
    with pytest.raises(OutputError, match="pictures end in"):
        write_picture(x[0], tmp_path / "x.txt")
    with pytest.raises(OutputError, match="animations end in"):
        animate(x, tmp_path / "x.png")


def test_heat_is_paper_at_nothing_and_dark_at_the_most():
    shown = heat(np.array([[[-1.0, 0.0, 1.0]]]), highest=1.0)
    assert shown[0, 0, 0].tolist() == shown[0, 0, 1].tolist() == [253, 253, 251]
    assert shown[0, 0, 2].sum() < 100
    buffer = io.BytesIO()
    Image.fromarray(shown[0]).save(buffer, "PNG")
