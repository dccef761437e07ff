"""The reference estimator on schedule and weather: a date is only useful as a weekday, which comes back every week."""

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer


def with_weekday(rows):
    """Return `rows` with the weekday (0 is Monday) in place of year, month and day."""
    parts = rows[["year", "month", "day"]].astype("int64")
    return rows.drop(columns=["year", "month", "day"]).assign(weekday=pd.to_datetime(parts).dt.day_of_week)


def make():
    """Return the unfitted estimator."""
    trees = HistGradientBoostingClassifier(random_state=0, categorical_features="from_dtype")
    return make_pipeline(FunctionTransformer(with_weekday), trees)
