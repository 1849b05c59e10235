"""The shapes of images, (C, H, W), that networks take."""

from lit_models.contracts import ImageShape

GRIDS = (8, 7)  # sides of the grid on which networks do most of their work
HALVINGS = (1, 2, 3, 4)  # how often the side of an image may be halved to get there
SIDES = tuple(sorted(grid * 2**halvings for grid in GRIDS for halvings in HALVINGS))  # of the images that networks take


def grid_of(image_shape: ImageShape) -> tuple[int, int]:
    """The side of the grid of features, 7 or 8, and how many times an image's side is halved to get there.

    28 gives (7, 2), 32 gives (8, 2) and 64 gives (8, 3).

    Raises:
        ValueError: If the images are not square, or if their side is neither 7 nor 8 times 2, 4, 8 or 16.
    """
    if len(image_shape) == 3 and image_shape[0] in (1, 3) and image_shape[1] == image_shape[2]:
        for grid in GRIDS:
            for halvings in HALVINGS:
                if image_shape[1] == grid * 2**halvings:
                    return grid, halvings
    raise ValueError(
        f"expected images of shape (1 or 3, side, side) with a side of {', '.join(map(str, SIDES))}, got {tuple(image_shape)}:"
        " pad or resize them"
    )
