"""The reference estimator: histogram gradient boosting with scikit-learn's defaults."""

from sklearn.ensemble import HistGradientBoostingRegressor


def make():
    """Return the unfitted estimator."""
    return HistGradientBoostingRegressor(random_state=0)
