"""The room for content on a sheet follows from paper and margins."""

from __future__ import annotations

from typing import Any

import pytest

from functions.render.pdf.paper import ratio_of
from urlshot.core.options import Options


@pytest.mark.parametrize(
    ("options", "ratio"),
    [
        ({"margin": "0mm"}, 11.7 / 8.27),
        ({"margin": "0mm", "landscape": True}, 8.27 / 11.7),
        ({"width": "100mm", "height": "300mm", "margin": "0mm"}, 3.0),
        ({"width": "120mm", "height": "320mm", "margin": "10mm"}, 3.0),
        ({"margin": "0mm", "scale": 0.5}, 11.7 / 8.27),
    ],
)
def test_a_sheet_has_the_ratio_of_its_paper_less_margins(options: dict[str, Any], ratio: float) -> None:
    assert ratio_of(Options.model_validate(options)) == pytest.approx(ratio)
