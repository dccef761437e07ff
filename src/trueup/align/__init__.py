"""ALIGN: what do we want, what is a decision worth, how many cases can people handle, what must never happen?

This room decides what a charter says and what follows from it: it reads `trueup.toml` into frozen records (all mistakes
at once), gives the charter its document, digest and the words for a change, turns scores, payoff and capacity into
decisions, and knows who must agree before a charter counts. It refuses expressions beyond its one language, a capacity
nobody could use, an approval without every reviewer's feedback, and a signature over another charter. It knows no
model, opens no database and reads no clock.
"""
