"""The reference estimator: histogram gradient boosting on what is known when the booking is made."""

from sklearn.ensemble import HistGradientBoostingClassifier


def make():
    """Return the unfitted estimator; categories arrive as pandas categories."""
    return HistGradientBoostingClassifier(max_iter=150, random_state=0, categorical_features="from_dtype")
