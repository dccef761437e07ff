"""How does a trained estimator become stages that answer in microseconds? Used only inside the model's process."""
