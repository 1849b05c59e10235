"""Anchors: the places of classes in a latent space that is laid out by hand.

Neighbours are sqrt(D) apart in every layout. Noise of standard deviation sigma per coordinate moves a code by sigma / sqrt(D) of the
distance between them.
"""

import math
from typing import Literal

import torch
from torch import Tensor

Layout = Literal["line", "circle", "simplex"]


def class_anchors(layout: Layout, latent_dim: int, classes: int) -> Tensor:
    r"""The anchor of each class, (classes, D).

    .. math::
        \text{line:} \; d \, (1, \dots, 1), \quad
        \text{circle:} \; \tfrac{\sqrt D}{2 \sin(\pi / K)} (\cos \tfrac{2 \pi d}{K}, \sin \tfrac{2 \pi d}{K}, 0, \dots), \quad
        \text{simplex:} \; \sqrt{D / 2} \, e_d

    On the simplex all classes are neighbours of each other.

    Raises:
        ValueError: If the code is too narrow for the layout.
    """
    needed = {"line": 1, "circle": 2, "simplex": classes}[layout]
    if latent_dim < needed:
        raise ValueError(f"layout {layout} of {classes} classes expected latent_dim of at least {needed}, got {latent_dim}")
    if layout == "line":
        return torch.arange(classes).float()[:, None].expand(classes, latent_dim).clone()
    anchors = torch.zeros(classes, latent_dim)
    if layout == "circle":
        angles = 2 * math.pi * torch.arange(classes) / classes
        anchors[:, :2] = math.sqrt(latent_dim) / (2 * math.sin(math.pi / classes)) * torch.stack([angles.cos(), angles.sin()], dim=1)
    else:
        anchors[:, :classes] = math.sqrt(latent_dim / 2) * torch.eye(classes)
    return anchors
