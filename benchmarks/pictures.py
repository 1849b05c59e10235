"""Makes the pictures of README and docs from trained runs.

    python -m benchmarks.pictures [gan_noise=FOLDER_OF_RUN ...] [--only RUN ...] [--folder docs/images]

The command copies the figures of each run's last epoch, and draws 24 samples of most models. The default folder of a run is
`logs/NAME/mnist`. The run `gan_noise` is `gan_conditional` trained with `--model.conditioning noise
--model.lr 2e-3`.
"""

import argparse
import shutil
from pathlib import Path

from lit_models.checkpoints.runs import find_checkpoint, run_of
from lit_models.command import main as lightning

FIGURES = {  # run: {picture: tag of the figure}
    "ae": {"ae_normal": "samples/normal", "ae_gaussian": "samples/grid", "ae_gmm": "samples/gmm", "ae_centroids": "centroids/noise"},
    "vae": {"vae_samples": "samples/grid", "vae_centroids": "centroids/noise"},
    "vae_conditional": {},
    "vae_2d": {"vae_2d_latents": "latents/plane", "vae_2d_manifold": "traversal/manifold"},
    "vae_2d+no_kl": {"vae_2d_no_kl": "latents/plane"},
    "vae_2d+no_reconstruction": {"vae_2d_no_reconstruction": "latents/plane"},
    "vqvae": {
        "vqvae_samples": "samples/grid",
        "vqvae_uniform": "samples/uniform",
        "vqvae_frequencies": "samples/frequencies",
        "vqvae_autoregressive": "samples/autoregressive",
        "vqvae_centroids": "centroids/noise",
    },
    "gan": {},
    "gan_conditional": {"gan_conditional_grid": "samples/grid", "gan_conditional_stages": "samples/stages"},
    "gan_noise": {"gan_noise": "samples/grid"},
    "vae_gan": {"vae_gan_reconstructions": "reconstructions"},
    "anchored": {"anchored_independent": "samples/grid"},
    "anchored+matched": {"anchored_matched": "samples/grid", "anchored_noise": "centroids/noise"},
    "pca_ae": {"pca_ae_samples": "samples/grid", "pca_ae_axes": "traversal/axes"},
    "pca_vae": {"pca_vae_samples": "samples/grid"},
    "latent_flow": {"latent_flow_samples": "samples/grid"},
    "flow": {"flow_samples": "samples/grid", "flow_from_noise": "from_noise"},
    "text_flow": {"text_flow_words": "from_words"},
    "pixels": {"pixels_completions": "completions"},
}
WITHOUT_ROW = ("vae_2d+no_kl", "vae_2d+no_reconstruction", "gan_noise")
WORDS = {"text_flow": ["--text", "a thick seven leaning left"]}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("elsewhere", nargs="*", metavar="NAME=RUN")
    options.add_argument("--only", nargs="+", default=list(FIGURES), choices=list(FIGURES), metavar="RUN")
    options.add_argument("--folder", type=Path, default=Path("docs/images"))
    given = options.parse_args()
    places = dict(pair.split("=", 1) for pair in given.elsewhere)
    for name in given.only:
        place = places.get(name, f"logs/{name}/mnist")
        run = run_of(find_checkpoint(Path(place))[0])
        assert run is not None, place
        for picture, tag in FIGURES[name].items():
            shutil.copy(max((run / "figures" / tag).glob("epoch_*.png")), given.folder / f"{picture}.png")
        if name not in WITHOUT_ROW:
            row = given.folder / f"row_{name.replace('+', '_')}.png"
            assert lightning(["sample", place, "--num", "24", "--output", str(row), *WORDS.get(name, [])]) == 0


if __name__ == "__main__":
    main()
