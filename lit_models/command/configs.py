"""`lightning configs`: the name and the first comment of each shipped config, of models, overlays and studies."""

from lit_models.training import configs


def run(command: str, arguments: list[str]) -> int:
    for name, file in (configs.shipped() | configs.studies()).items():
        print(f"{name:20} {file.read_text().splitlines()[0].lstrip('# ')}")
    return 0
