"""Images as the network reads them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from expunge.facts.errors import InputError
from expunge.modalities.vision import Images, vision_model


def test_uint8_is_divided_by_255_floats_are_not_and_both_are_normalised_by_channel() -> None:
    """Fails if floats are scaled too, or mean and std change places: (51/255 - 0.1) / 0.5 = 0.2; (3 - 1) / 2 = 1."""
    reader = Images(shape=(2, 1, 1), mean=(0.1, 1.0), std=(0.5, 2.0))
    found = reader.read(
        [np.array([[[51]], [[255]]], np.uint8), np.array([[[0.2]], [[3.0]]], np.float64)],
        ["a", "b"],
    )
    assert found.dtype == torch.float32
    assert found.flatten().tolist() == pytest.approx([0.2, 0.0, 0.2, 1.0])
    assert reader.restore(found).flatten().tolist() == pytest.approx([0.2, 1.0, 0.2, 3.0])


def test_an_image_without_channels_is_one_channel() -> None:
    """Fails if (H, W) is read transposed."""
    image = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert Images(shape=(1, 2, 3)).read([image], ["a"]).tolist() == [[image.tolist()]]


def test_images_alike_are_read_as_each_by_itself() -> None:
    """Fails if images of one kind, which are converted together, come out in another order or on another scale than one by one."""
    reader, draw = Images(shape=(3, 4, 5), mean=(0.4, 0.5, 0.6), std=(0.2,)), np.random.default_rng(0)
    bytes_ = list(draw.integers(0, 256, (6, 3, 4, 5), dtype=np.uint8))
    floats = [image.astype(np.float64) / 255 for image in bytes_]
    each = torch.cat([reader.read([image], ["a"]) for image in bytes_])
    assert torch.equal(reader.read(bytes_, list("abcdef")), each)
    torch.testing.assert_close(reader.read([*floats[:3], *bytes_[3:]], list("abcdef")), each)
    with pytest.raises(InputError, match="row 'a'"):
        reader.read([np.zeros((4, 5), np.float32)] * 2, ["a", "b"])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4), np.int64), "int64"),
        (np.zeros((4, 5), np.float32), r"\(1, 4, 5\), the model reads \(3, 4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), "channels stand last"),
        (np.full((3, 4, 4), np.nan, np.float32), "not finite"),
    ],
)
def test_what_is_no_image_of_this_size_is_refused_by_its_row(image: np.ndarray, message: str) -> None:
    """Fails if integers of unknown scale, wrong shapes, channels-last images or NaN are taken."""
    good = np.zeros((3, 4, 4), np.float32)
    with pytest.raises(InputError, match=f"(?s)row 'b'.*{message}"):
        Images(shape=(3, 4, 4)).read([good, image], ["a", "b"])


def test_normalisation_that_means_nothing_is_refused() -> None:
    """Fails if std 0 divides, or two means serve three channels."""
    with pytest.raises(InputError, match="std"):
        Images(shape=(1, 4, 4), std=(0.0,))
    with pytest.raises(InputError, match="3 channels"):
        Images(shape=(3, 4, 4), mean=(0.1, 0.2))


def test_networks_that_cannot_be_built_are_refused() -> None:
    """Fails if a wrong name or argument is a bare KeyError or TypeError."""
    with pytest.raises(InputError, match="nearest is 'resnet'"):
        vision_model("resnet18", images=Images(shape=(1, 8, 8)), classes=3)
    with pytest.raises(InputError, match="patch 3 must divide 8x8"):
        vision_model("vit", images=Images(shape=(1, 8, 8)), classes=3, patch=3)


def test_attention_is_the_formula() -> None:
    """Fails if the scale is 1 / width and not 1 / sqrt(head width), or heads are mixed; compared with torch's own."""
    from expunge.modalities.vision_networks import Attention

    torch.manual_seed(0)
    own = Attention(8, 2)
    known = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    known.in_proj_weight.data, known.in_proj_bias.data = own.inner.weight.data, own.inner.bias.data
    known.out_proj.load_state_dict(own.outer.state_dict())
    x = torch.randn(3, 5, 8)
    assert torch.allclose(own(x), known(x, x, x, need_weights=False)[0], atol=1e-6)


def test_an_odd_image_keeps_its_last_row() -> None:
    """Fails if halving rounds down and the head's width does not fit: MNIST's 28 halves to 14, 7, 4."""
    model = vision_model("cnn", images=Images(shape=(1, 7, 7)), classes=3, width=4, depth=3)
    image = np.zeros((7, 7), np.float32)
    image[6, 6] = 1.0
    pair = [model.reader.read([one], ["a"]) for one in (image, np.zeros((7, 7), np.float32))]
    assert not torch.equal(model.module(pair[0]), model.module(pair[1]))
