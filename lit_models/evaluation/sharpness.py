r"""Sharpness of edges, by a measure that noise does not raise.

With :math:`s_1 \ge s_2` the singular values of the gradients in a window of 5 x 5 pixels, divided by 5 (so that :math:`s_1^2` is a mean),

.. math:: Q = s_1 \frac{s_1 - s_2}{s_1 + s_2}

is large where strong gradients point one way, as along a stroke, and small where they point in all directions, as in noise. The sharpness
of an image is the mean of Q over its windows, weighted by :math:`s_1`; it is 0 for a blank image.

Reference: Zhu & Milanfar, Automatic Parameter Selection for Denoising Algorithms Using a No-Reference Measure of Image Content, 2010,
equations 6 to 9; there Q is averaged over windows chosen by a test of significance.
"""

from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

WINDOW = 5
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)


def sharpness(images: Tensor) -> Tensor:
    """Sharpness of each image, (B, C, H, W) to (B,), in brightness per pixel; that of a coloured image is of its luminance."""
    if images.shape[1] == 3:
        images = (images * images.new_tensor(LUMINANCE)[:, None, None]).sum(dim=1, keepdim=True)
    padded = pad(images, (1, 1, 1, 1))
    across = 0.5 * (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2])
    down = 0.5 * (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1])
    aa, dd, ad = (avg_pool2d(part, WINDOW, stride=1) for part in (across * across, down * down, across * down))
    half, root = (aa + dd) / 2, (((aa - dd) / 2).square() + ad.square()).sqrt()
    strong, weak = (half + root).clamp_min(0).sqrt(), (half - root).clamp_min(0).sqrt()
    q = strong * (strong - weak) / (strong + weak).clamp_min(1e-8)
    return (q * strong).flatten(1).sum(dim=1) / strong.flatten(1).sum(dim=1).clamp_min(1e-8)
