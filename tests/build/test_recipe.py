from __future__ import annotations

import json
from dataclasses import replace

from trueup.build.recipe import Feature, Recipe, recipe_from_json

RECIPE = Recipe(
    "lightgbm", "multiclass", (Feature("a", "number"), Feature("b", "text")), params=(("x", 0.1),), n_classes=3
)


def test_a_recipe_survives_the_way_through_json() -> None:
    assert recipe_from_json(json.loads(json.dumps(RECIPE.as_json()))) == RECIPE


def test_the_digest_names_what_changes_the_model() -> None:
    changes = [
        replace(RECIPE, seed=1),
        replace(RECIPE, params=(("x", 0.2),)),
        replace(RECIPE, features=RECIPE.features[::-1]),
        replace(RECIPE, calibrate=True),
        replace(RECIPE, code_digest="1"),
    ]
    assert len({recipe.digest for recipe in [RECIPE, *changes]}) == 6
    assert replace(RECIPE).digest == RECIPE.digest
