"""An endpoint as it is written by hand: FastAPI, a data frame of the rows, `predict_proba`; one worker of uvicorn."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

NUMBERS, CATEGORIES = [f"n{place}" for place in range(30)], [f"c{place}" for place in range(5)]


def main() -> None:
    """Serve the model of a folder on a port until the end."""
    import pandas as pd
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel

    model = pickle.loads((Path(sys.argv[1]) / "of_frames.pickle").read_bytes())  # our own file
    kinds = {**dict.fromkeys(NUMBERS, "float64"), **dict.fromkeys(CATEGORIES, "category")}

    class Asked(BaseModel):
        rows: list[dict[str, float | str | None]]

    async def predict(asked: Asked) -> dict[str, Any]:
        frame = pd.DataFrame(asked.rows)[NUMBERS + CATEGORIES].astype(kinds)
        return {"scores": model.predict_proba(frame)[:, 1].tolist()}

    # the annotation is one of this function, which a string cannot name
    predict.__annotations__["asked"] = Asked
    app = FastAPI()
    app.post("/predict")(predict)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
