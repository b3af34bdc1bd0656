"""The model's name in results tells the model, whatever its folder is called."""

from pathlib import Path

import pytest

from sightstream.pipeline.engine.model_name import model_name

COMMIT = "9213176726f574b556790deb65791e0c5aa438b6"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/models/Llama-3.2V-11B-cot", "Llama-3.2V-11B-cot"),
        ("/srv/mug-finder/checkpoint", "mug-finder"),
        (f"/hub/models--Xkev--Llama-3.2V-11B-cot/snapshots/{COMMIT}", "Xkev/Llama-3.2V-11B-cot"),
        ("/runs/2024--a/weights", "2024--a"),
        ("/models/checkpoint", "checkpoint"),
    ],
)
def test_the_nearest_telling_folder_names_the_model(folder: str, name: str) -> None:
    assert model_name(Path(folder)) == name
