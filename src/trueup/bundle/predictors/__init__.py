"""What answers in production: compiled predictors and the decoder in front of them. No data frame, no pickle."""
