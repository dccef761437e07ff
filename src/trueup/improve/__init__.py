"""IMPROVE: what should change? When to retrain, on which cases, and whether the result may go live.

This room decides whether a signed trigger fired, which outcomes a model may learn from (those that were final then,
never those that acting changed), and whether a retrained model keeps inside the envelope. It refuses to promote what
cannot be told from luck, and to act on no_data.
"""
